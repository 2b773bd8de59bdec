"""The page beside a journal: there when an incident has ended, and no trouble when it cannot be."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from prefect_mha.replication.memory.journal import BEGIN, END, VERDICT, Journal
from prefect_mha.replication.reporting.incident import page as pages
from prefect_mha.replication.reporting.incident.beside import write_page


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal.new(tmp_path, "app1")
    made.record(VERDICT, "dead", "10.0.0.1:3306", why="crashed process")
    made.record(BEGIN, "began", "10.0.0.1:3306", options={}, resumed=False, by="root@seat")
    made.record(END, "ended", "10.0.0.1:3306", exit_code=1, summary="no")
    return made


def test_it_is_for_its_owner_alone(journal: Journal, tmp_path: Path) -> None:
    path = write_page(journal, "app1", Path("/etc/mha/app1.cnf"))
    assert path == journal.path.with_name(f"app1.incident-{journal.path.name[5:-8]}.html")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "crashed process" in path.read_text()


def test_what_began_nothing_has_none(tmp_path: Path) -> None:
    assert write_page(Journal.new(tmp_path, "app1"), "app1", Path("x")) is None
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
    assert write_page(journal, "app1", Path("x")) is None
    assert len(said) == 1
    assert not [path for path in journal.path.parent.iterdir() if "incident" in path.name]
