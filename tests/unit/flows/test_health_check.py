"""How a health check ends in Prefect's UI."""

from __future__ import annotations

from prefect_mha.flows.health_check import conclude
from prefect_mha.replication.model.check import Check, Severity
from prefect_mha.replication.model.words import dashed
from prefect_mha.replication.planning.readiness import Readiness

WELL = Check("ssh", "db1", True, "in")
WARNED = Check("host-clock", "db2", False, "90 s ahead", Severity.WARNING, "chrony")
LATE = Check("lag", "db2", False, "40 s behind", hint="wait")
READY = Readiness("app1", "db1", True, candidate="db2", unreceived=0)
DOWN = Check("server-answers", "db3", False, "error 2003", hint="start it")


def test_warnings_alone_do_not_fail_a_run() -> None:
    state = conclude("app1", [WELL, WARNED], READY)
    assert state.is_completed()
    assert state.message == f"app1: 2 checks, none failed, 1 warnings. {READY}"
    assert "db2 would be promoted" in state.message


def test_a_failed_run_tells_how_many_failed_and_the_first_with_its_hint() -> None:
    state = conclude("app1", [WELL, WARNED, LATE, DOWN], READY)
    assert state.is_failed()
    assert state.message == "app1: 2 of 4 checks failed; lag: db2: 40 s behind (wait)"


def test_an_artifacts_key_is_one_that_prefect_takes() -> None:
    assert dashed("App_1.prod") == "app-1-prod"
