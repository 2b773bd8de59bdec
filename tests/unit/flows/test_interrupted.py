"""Which flow runs a failover finishes beside its own, by the journals of those that were interrupted."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from prefect_mha.flows.deeds.failover import FLOW_RUN, interrupted_runs
from prefect_mha.replication.memory.journal import BEGIN, Journal, unfinished

RUN = UUID("3f0c5a4e-8a52-4f3e-9d9b-52c6f1f1f0a1")
DEAD = "10.0.0.1:3306"


def journal(directory: Path, stamp: str, *, run: UUID | None = None) -> Journal:
    made = Journal(directory / f"app1.failover-{stamp}-7.journal")
    if run is not None:
        made.record(*FLOW_RUN, DEAD, id=str(run))
    made.record(BEGIN, "began", DEAD)
    return made


def test_the_runs_of_all_that_were_interrupted_are_known_by_their_journals(tmp_path: Path) -> None:
    journal(tmp_path, "20260102030405")
    journal(tmp_path, "20260102030505", run=RUN)
    assert interrupted_runs(unfinished(tmp_path, "app1", DEAD)) == (RUN,)


def test_nothing_was_interrupted(tmp_path: Path) -> None:
    assert interrupted_runs(unfinished(tmp_path, "app1")) == ()
