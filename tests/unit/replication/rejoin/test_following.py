"""Whether a server that was started goes on, and gets nearer; what is set before it is pointed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from prefect_mha.replication.model.gtid import GtidSet
from prefect_mha.replication.model.state import ReplicaChannel
from prefect_mha.replication.rejoin import following
from prefect_mha.replication.rejoin.following import executed_by, why_stopped
from prefect_mha.replication.rejoin.job import RejoinJob
from prefect_mha.replication.rejoin.remembered.interrupted import NOBODY
from tests.unit.replication.build import UUID, at, channel, server
from tests.unit.replication.rejoin.test_plan import facts


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (channel(), ""),
        (channel(receiver="Connecting"), ""),
        (channel(receiver="No"), "its threads stopped"),
        # A guard starts it anew: it is waited for.
        (channel(applier_running=False), ""),
        (channel(applier_running=False, applier_errno=1062, applier_error="Duplicate entry"), "Duplicate entry"),
        (None, "it points elsewhere"),
    ],
)
def test_why_it_executes_nothing_more(seen: ReplicaChannel | None, why: str) -> None:
    assert why_stopped(seen) == why


def test_what_it_receives_brings_it_no_nearer() -> None:
    def stands(gtids: str = f"{UUID}:1-9", **changes: Any) -> tuple[object, ...] | None:
        return executed_by(server(1, gtid_executed=GtidSet.parse(gtids)), channel(**changes))

    assert stands() == stands(received=at(9000), receiver="Connecting")
    assert stands() != stands(executed=at(9000))
    assert stands() != stands(f"{UUID}:1-10")
    assert stands(applier_running=False) is None


def test_who_points_elsewhere_by_now_is_no_replica_of_nobody() -> None:
    def taken_back(*channels: ReplicaChannel) -> str:
        old = SimpleNamespace(observe=lambda: server(1, *channels))
        new = SimpleNamespace(hostname="db2", ip="10.0.0.2", port=3306)
        job = SimpleNamespace(
            plan=SimpleNamespace(old="10.0.0.1:3306", channel=""),
            sessions=SimpleNamespace(server=lambda _: old),
            new=new,
        )
        return following.take_back(cast(RejoinJob, job))

    assert taken_back() == NOBODY
    assert "it points at 10.0.0.9:3306 by now" in taken_back(channel(source_host="10.0.0.9"))


@pytest.mark.parametrize("pointed", [True, False])
def test_what_a_primary_needed_is_off_whether_or_not_it_points_there_already(
    monkeypatch: pytest.MonkeyPatch, pointed: bool
) -> None:
    done: list[str] = []
    old = SimpleNamespace(observe=lambda: server(1, channel(source_host="10.0.0.2")))
    new = SimpleNamespace(hostname="db2", ip="10.0.0.2", port=3306)
    plan = SimpleNamespace(
        old="10.0.0.1:3306", new="10.0.0.2:3306", channel="", pointed=pointed, user="repl", kind=None, position=None
    )
    sessions = SimpleNamespace(server=lambda _: old)
    job = SimpleNamespace(plan=plan, sessions=sessions, new=new, old=None)
    monkeypatch.setattr(following, "_others", lambda _: ())
    monkeypatch.setattr(following, "_roles", lambda *_: {})
    monkeypatch.setattr(following, "password_of", lambda *_: "")
    monkeypatch.setattr(following, "set_event_scheduler", lambda *_: done.append("events"))
    monkeypatch.setattr(following, "take_roles", lambda *_: done.append("roles"))
    monkeypatch.setattr(following, "become_replica", lambda *_: done.append("change"))
    following.point(cast(RejoinJob, job), facts(events=("app.nightly",)))
    assert done == ["events", "roles"] + ([] if pointed else ["change"])
