"""A look at the new primary's disk that was begun early counts only where it was made, and never holds anybody up."""

from __future__ import annotations

import threading
from typing import Any
from unittest.mock import MagicMock

import pytest

from prefect_mha.replication.errors import ServerUnreachable
from prefect_mha.tasks import let_in
from prefect_mha.tasks.let_in import DiskAhead

DB2 = "10.0.0.2:3306"


@pytest.mark.parametrize("told", ["", "its disk takes no writes: full"])
def test_what_was_seen_is_told_of_that_server_alone(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setattr(let_in, "_disk", lambda *_: told)
    look = DiskAhead(MagicMock(), DB2)
    assert look.seen(DB2) == told
    assert look.seen("10.0.0.3:3306") is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [ServerUnreachable("db2", "connect", "refused"), OSError("no room"), KeyError("db2")])
def test_a_look_that_failed_is_no_disk_that_is_well(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(let_in, "_disk", MagicMock(side_effect=error))
    assert DiskAhead(MagicMock(), DB2).seen(DB2) is None


def test_a_look_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over, ended = threading.Event(), threading.Event()

    def hang(*_: Any) -> str:
        over.wait(20)
        ended.set()
        return ""

    monkeypatch.setattr(let_in, "_disk", hang)
    monkeypatch.setattr(let_in, "FRESH", 0.05)
    try:
        assert DiskAhead(MagicMock(), DB2).seen(DB2) is None
        assert not ended.is_set()
    finally:
        over.set()
