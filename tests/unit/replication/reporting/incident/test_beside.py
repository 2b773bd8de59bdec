"""The page beside a journal: there when an incident has ended, and no trouble when it cannot be."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from prefect_mha.replication.memory.journal import BEGIN, END, VERDICT, Journal
from prefect_mha.replication.reporting.incident import beside
from prefect_mha.replication.reporting.incident import page as pages
from prefect_mha.replication.reporting.incident.beside import Looks, write_page
from prefect_mha.replication.reporting.job import FailoverJob
from prefect_mha.replication.reporting.outcome import Outcome
from prefect_mha.replication.reporting.pictures import drawn
from prefect_mha.tasks.report import report


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal.new(tmp_path, "app1")
    made.record(VERDICT, "dead", "10.0.0.1:3306", why="crashed process")
    made.record(BEGIN, "began", "10.0.0.1:3306", options={}, resumed=False, by="root@seat")
    made.record(END, "ended", "10.0.0.1:3306", exit_code=1, summary="no")
    return made


def test_it_is_for_its_owner_alone(journal: Journal, tmp_path: Path) -> None:
    looks = write_page(journal, "app1", Path("/etc/mha/app1.cnf"))
    path = Path(looks.page)
    assert path == journal.path.with_name(f"app1.incident-{journal.path.name[5:-8]}.html")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "crashed process" in path.read_text()


def test_what_began_nothing_has_none(tmp_path: Path) -> None:
    assert write_page(Journal.new(tmp_path, "app1"), "app1", Path("x")) == Looks()
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), ValueError("template")])
def test_one_that_cannot_be_made_is_one_line(
    trouble: Exception, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []

    def broken(*_: object) -> str:
        raise trouble

    monkeypatch.setattr(pages, "page", broken)
    monkeypatch.setattr(logging.getLogger("mha"), "error", lambda *words: said.append(words))
    looks = write_page(journal, "app1", Path("x"))
    assert looks.page == ""
    assert looks.head.startswith("**Failover of app1, ")
    assert len(said) == 1
    assert not [path for path in journal.path.parent.iterdir() if "incident" in path.name]


@pytest.mark.parametrize("trouble", ["disk full", "workdir read-only", "template broken"])
def test_no_trouble_of_it_changes_what_a_failover_tells(
    trouble: str, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the step that tells people sees it: its report is the same, and one line says why there is no page."""
    said: list[str] = []
    monkeypatch.setattr(logging.getLogger("mha"), "error", lambda words, *with_: said.append(words % with_))
    config = SimpleNamespace(name="app1", path=Path("x"), manager_log=None, report_script=None)
    job = cast(FailoverJob, SimpleNamespace(config=config, dead=SimpleNamespace(name="db1"), journal=journal))
    outcome = Outcome(1, "no")
    whole, looks = report.fn(job, outcome)
    assert (bool(looks.page), said) == (True, [])
    Path(looks.page).unlink()
    if trouble == "template broken":
        monkeypatch.setattr(drawn, "HOUSE", Path("/nowhere"))
        drawn.environment.cache_clear()
    else:
        number = errno.ENOSPC if trouble == "disk full" else errno.EROFS

        def cannot(*_: object) -> object:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(beside, "written", cannot)
    again, none = report.fn(job, outcome)
    drawn.environment.cache_clear()
    assert (again, none.page) == (whole, "")
    assert len(said) == 1
    assert said[0].startswith(f"There is no page of {journal.path.name}: ")
    assert none.head == looks.head
