"""Commands for events: what they get, what they must not get, and what becomes of their end."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from prefect_mha.config import ClusterConfig, ServerConfig
from prefect_mha.config.forms.event_names import EVENTS
from prefect_mha.config.loader import CLUSTER_PARAMETERS
from prefect_mha.config.values import _CHOICES
from prefect_mha.replication.errors import RefusalError
from prefect_mha.replication.notify.events import EventHooks, finish
from tests.unit.replication.build import block

ROOT = Path(__file__).parents[4]
SECRET = "s3cr3t w0rd"


def server(number: int) -> ServerConfig:
    return block(number, password=SecretStr(SECRET))


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Tell an event to a command, and give what it wrote to a file."""

    def tell(event: str, body: str, **more: object) -> str:
        script, out = tmp_path / "hook", tmp_path / "out"
        script.write_text(f"#!/bin/sh\nexec >{out}\n{body}\n")
        script.chmod(0o755)
        fields = {"name": "app1", "path": Path("/etc/mha/app1.cnf"), "servers": (server(1), server(2))}
        config = ClusterConfig(**{**fields, f"on_{event}": str(script), **more})
        try:
            EventHooks(config).tell(event, old=server(1), new=server(2), text="it's so", n=1)
        finally:
            assert finish(10)
        return out.read_text()

    return tell


def test_the_events_the_parameters_and_the_page_are_one_list() -> None:
    # What follows from a shutdown is a policy, no event.
    parameters = {p for p in CLUSTER_PARAMETERS if p.startswith("on_")} - {"on_shutdown"}
    assert {f"on_{event}" for event in EVENTS} == parameters
    abortable = [word for word in EVENTS if _CHOICES["abort_on"][0].fullmatch(word)]
    assert abortable == ["started", "fenced"], "a failover can no longer be taken back after the others"
    page = (ROOT / "docs" / "hooks.md").read_text()
    rows = re.findall(r"^\| `on_(\w+)` \| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert [(event, when) for event, when, _ in rows] == list(EVENTS.items())
    assert [event for event, _, stops in rows if stops == "with `abort_on`"] == abortable


def test_every_event_is_told_somewhere() -> None:
    code = "".join(
        p.read_text() for d in ("flows", "tasks", "commands", "replication") for p in (ROOT / d).rglob("*.py")
    )
    assert [event for event in EVENTS if f'"{event}"' not in code] == []


def test_the_environment_is_what_the_page_says(told, monkeypatch) -> None:
    monkeypatch.setenv("MHA_REPL_PASSWORD", SECRET)
    monkeypatch.setenv("LC_TIME", "C")
    lines = told("promoted", "env").splitlines()
    got = dict(line.partition("=")[::2] for line in lines)
    page = (ROOT / "docs" / "hooks.md").read_text()
    assert {n for n in got if n.startswith("MHA_")} == set(re.findall(r"`(MHA_\w+)`", page))
    assert (got["MHA_TEXT"], got["MHA_OLD_PRIMARY_PORT"], got["MHA_NEW_PRIMARY_HOST"]) == ("it's so", "3306", "db2")
    assert got["LC_TIME"] == "C"
    assert set(got) - {n for n in got if n.startswith("MHA_")} <= set(re.findall(r"`(\w+)`", page)) | {
        "LC_TIME",
        "PWD",
        "OLDPWD",
        "_",
        "SHLVL",
    }


def test_the_document_on_standard_input(told) -> None:
    document = json.loads(told("completed", "cat"))
    assert (document["version"], document["event"], document["facts"]) == (1, "completed", {"n": 1})
    assert document["old_primary"] == {"host": "db1", "ip": "10.0.0.1", "port": 3306}
    assert SECRET not in json.dumps(document)


def test_a_command_that_reads_nothing_or_fails_changes_nothing(told, caplog) -> None:
    told("promoted", "exit 7")
    assert "ended with exit code 7" in caplog.text


def test_the_failover_does_not_wait(told) -> None:
    config = ClusterConfig(name="a", path=Path("/a"), servers=(server(1),), on_dead="sleep 2")
    EventHooks(config).tell("dead", text="x")
    assert not finish(0.0)
    assert finish(20)


@pytest.mark.parametrize(("body", "says"), [("exit 3", "exit code 3"), ("sleep 60", "still running after 0.3 s")])
def test_before_the_point_of_no_return_it_may_refuse(told, body, says) -> None:
    with pytest.raises(RefusalError) as error:
        told("started", body, abort_on=("started",), hook_timeout=0.3)
    assert error.value.refusal.code == "hook-refused"
    assert says in error.value.refusal.sentence
    told("fenced", body, abort_on=("started",), hook_timeout=0.3)


def test_nothing_secret_reaches_the_log(told, caplog) -> None:
    caplog.set_level("INFO", logger="mha.hooks")
    config = ClusterConfig(name="a", path=Path("/a"), servers=(server(1),), on_dead=f"echo 'say {SECRET}'")
    EventHooks(config).tell("dead", text="x")
    assert finish(5)
    assert "say xxx" in caplog.text
    assert SECRET not in caplog.text
    assert "PATH" in os.environ
