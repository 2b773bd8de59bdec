"""The forms of the deployments, as Prefect's UI gets them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from pydantic import ValidationError

from prefect_mha.flows.approval import AnswerWait, form
from prefect_mha.flows.binlog_server import binlog_server
from prefect_mha.flows.failover import failover
from prefect_mha.flows.forms import PLACE, FailoverRequest, RejoinRequest, SwitchRequest, place_of
from prefect_mha.flows.health_check import health_check
from prefect_mha.flows.rejoin import rejoin
from prefect_mha.flows.switchover import switchover
from prefect_mha.replication.model.ways_back import How
from prefect_mha.replication.reporting.approval import Choice, Question

ROOT = Path(__file__).resolve().parents[3]
DB2, DB3 = Choice("10.0.0.2:3306", "db2(10.0.0.2:3306)"), Choice("10.0.0.3:3306", "db3(10.0.0.3:3306)")


@pytest.mark.parametrize("flow", [failover, switchover], ids=lambda f: f.name)
def test_every_field_has_a_title_and_a_description(flow: Any) -> None:
    schema = flow.parameters.model_dump_for_openapi()
    (fields,) = [d["properties"] for d in schema["definitions"].values()]
    assert {"new_primary", "dry_run", "ask_first", "without_answer"} <= fields.keys()
    for name, field in fields.items():
        assert field["title"] != name
        assert field["description"].endswith(".")
        assert "default" in field
    assert schema["required"] == ["cluster"]


def test_the_form_offers_the_clusters_that_are_configured(tmp_path: Path) -> None:
    for name in ("shop.cnf", "app1.toml", "masterha_default.cnf", "notes.txt"):
        (tmp_path / name).write_text("")
    code = "from prefect_mha.flows.failover import failover; import json; "
    code += "print(json.dumps(failover.parameters.properties['cluster']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={
            "PYTHONPATH": str(ROOT / "src"),
            "MHA_CONF_DIR": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["enum"] == ["app1", "shop"]


def test_what_the_form_says_becomes_options() -> None:
    options = FailoverRequest(new_primary="db3:3307", salvage_policy="strict").options()
    assert (options.new_master_host, options.new_master_port, options.salvage_policy) == ("db3", 3307, "strict")
    assert FailoverRequest().options().salvage_policy is None
    assert FailoverRequest().options().new_master_host is None
    assert SwitchRequest(keep_old_as_replica=False).options().orig_master_is_new_slave is False
    assert FailoverRequest().waiting() == AnswerWait(3600.0, go_on_without=False)
    with pytest.raises(ValidationError):
        FailoverRequest(new_primry="db3")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("typed", "host", "port"),
    [
        ("", None, None),
        ("db3", "db3", None),
        (" db3.example.com:3307 ", "db3.example.com", 3307),
        ("10.0.0.3:3306", "10.0.0.3", 3306),
        ("fd00::3", "fd00::3", None),
        ("[fd00::3]", "fd00::3", None),
        ("[fd00::3]:3307", "fd00::3", 3307),
    ],
)
def test_a_place_is_a_host_and_perhaps_its_port(typed: str, host: str | None, port: int | None) -> None:
    assert re.search(PLACE, typed)
    assert place_of(typed) == (host, port)
    assert FailoverRequest(dead_primary=typed).dead_primary == typed.strip()


BAD = [
    "x:abc",
    "x:0",
    "[fd00::3",
    "fd00::3]",
    "[fd00::3]:",
    "[db3]",
    "[db3]:3306",
    "a b",
    "db3;id",
    "x:123456",
    ":3306",
]


@pytest.mark.parametrize("typed", [*BAD, "x:65536", "fd00:::3", "[::fffff]:1"])
def test_what_is_no_place_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError):
        SwitchRequest(new_primary=typed)


@pytest.mark.parametrize("flow", [failover, switchover], ids=lambda f: f.name)
def test_the_form_itself_refuses_what_is_no_place(flow: Any) -> None:
    (fields,) = [d["properties"] for d in flow.parameters.model_dump_for_openapi()["definitions"].values()]
    for name in fields.keys() & {"new_primary", "dead_primary"}:
        assert fields[name]["type"] == "string"
        assert [typed for typed in BAD if re.search(fields[name]["pattern"], typed)] == []


def test_the_form_of_a_rejoin_asks_who_is_back_first_and_offers_its_ways() -> None:
    schema = rejoin.parameters.model_dump_for_openapi()
    (fields,) = [d["properties"] for d in schema["definitions"].values()]
    assert list(fields)[:2] == ["server", "way"]
    assert fields["way"]["enum"] == [how.value for how in How]
    assert schema["required"] == ["cluster", "how"]
    assert RejoinRequest(server=" db1 ").server == "db1"
    for wrong in ("", "two words"):
        with pytest.raises(ValidationError):
            RejoinRequest(server=wrong)


def test_the_form_of_the_health_check_refuses_seconds_that_are_none() -> None:
    field = health_check.parameters.properties["seconds_behind"]
    assert (field["minimum"], field["maximum"], field["default"]) == (0, 86400, 30)
    for seconds in (-5, 86401):
        with pytest.raises(ParameterTypeError):
            health_check.validate_parameters({"cluster": "app1", "seconds_behind": seconds})


def test_the_question_must_be_decided_and_offers_who_may_be_chosen() -> None:
    question = Question("failover", "app1", "name", "Start?", "the plan", "# the plan", ("a step",), (DB2, DB3), False)
    asked = form(question, AnswerWait(60.0))
    schema = asked.model_json_schema()
    assert schema["required"] == ["decision"]
    assert schema["properties"]["decision"]["enum"] == ["start", "abort"]
    assert schema["properties"]["new_primary"]["enum"] == [DB2.name, DB3.name]
    assert schema["properties"]["accept_possible_loss"]["default"] is False
    with pytest.raises(ValidationError):
        asked(decision="start", new_primary="db9")
    assert "nothing is changed" in str(asked._description)
    assert "a step" not in str(asked._description)
    lost = replace(question, at_stake="42 bytes that only db1 has")
    field = form(lost, AnswerWait(60.0)).model_json_schema()["properties"]["accept_possible_loss"]
    assert field["description"].startswith("At stake: 42 bytes that only db1 has. On: ")
    switch = Question("switchover", "app1", "name", "Start?", "the plan", "# the plan", ("a step",), (DB2,))
    assert "accept_possible_loss" not in form(switch, AnswerWait(60.0)).model_json_schema()["properties"]


@pytest.mark.parametrize("flow", [failover, switchover, health_check, binlog_server], ids=lambda f: f.name)
def test_every_parameter_has_a_label_and_not_its_name(flow: Any) -> None:
    for name, field in flow.parameters.properties.items():
        assert field["title"] != name
        assert field["description"]
