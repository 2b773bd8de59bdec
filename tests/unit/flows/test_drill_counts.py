"""What a drill cannot read is unknown: neither lost nor there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from prefect_mha.replication.drill.job import DrillJob
from prefect_mha.replication.errors import ServerUnreachable
from prefect_mha.tasks.drill import count_lost


class Session:
    def __init__(self, rows: list[int] | None) -> None:
        self.rows = rows

    def query(self, *_: object, **__: object) -> list[dict[str, int]]:
        if self.rows is None:
            raise ServerUnreachable("db2", "read the canary's rows", "no answer")
        return [{"id": row} for row in self.rows]


def job(rows: list[int] | None) -> DrillJob:
    sessions = SimpleNamespace(server=lambda _: Session(rows))
    acks = tuple(SimpleNamespace(id=number) for number in (1, 2, 3))
    return cast(DrillJob, SimpleNamespace(sessions=sessions, canary=SimpleNamespace(acks=acks)))


def test_rows_of_a_server_that_cannot_be_read_are_not_lost() -> None:
    assert count_lost.fn(job(None), "10.0.0.2:3306") is None
    assert count_lost.fn(job([1, 3, 9]), "10.0.0.2:3306") == 1
    assert count_lost.fn(job([3, 2, 1]), "10.0.0.2:3306") == 0
