"""A new primary waits for acknowledgements only where somebody gives them, and its events do not wait in vain."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prefect_mha.replication.actions import scheduled_events
from prefect_mha.replication.actions.scheduled_events import ScheduledEvent, events_left
from prefect_mha.replication.errors import ServerUnreachable
from prefect_mha.tasks import semi_sync
from prefect_mha.tasks.semi_sync import Waiting, take_semi_sync
from prefect_mha.tasks.switchover import take_over

ENDLESS = {"source": 1, "replica": 0, "timeout": "4294967295", "acknowledgements": "1"}


class Fake:
    """A server with these roles; ``None`` for one that is away."""

    def __init__(self, name: str, roles: dict[str, Any] | None, *, speaks: bool = True) -> None:
        self.name, self.roles = name, roles
        self.dialect = SimpleNamespace(speaks_while_commits_wait=speaks)

    def __str__(self) -> str:
        return self.name


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What roles were taken."""
    found: list[dict[str, Any]] = []

    def read(server: Fake) -> dict[str, Any]:
        if server.roles is None:
            raise ServerUnreachable(server.name, "read its part", "gone")
        return server.roles

    def take(server: Fake, roles: dict[str, Any]) -> bool:
        assert server.roles is not None
        server.roles |= roles
        found.append(dict(roles))
        return True

    monkeypatch.setattr(semi_sync, "read_roles", read)
    monkeypatch.setattr(semi_sync, "take_roles", take)
    monkeypatch.setattr(semi_sync, "acknowledgements", lambda _: 1)
    return found


def config(policy: str) -> Any:
    return SimpleNamespace(semi_sync=policy, binlog_servers=())


FOLLOWS, ASYNC, AWAY = {"replica": 1}, {"replica": 0}, None


@pytest.mark.parametrize(
    ("policy", "speaks", "former", "followers", "takes", "stuck", "said"),
    [
        ("off", True, ENDLESS, (), False, False, "stays off"),
        ("prefer", False, ENDLESS, (ASYNC, AWAY), False, False, "stays off"),
        ("off", True, ENDLESS, (FOLLOWS,), True, False, ""),
        ("off", True, {"source": 0}, (), True, False, ""),
        ("off", True, {}, (), False, False, ""),
        ("require", True, ENDLESS, (), True, True, "its commits wait;"),
        ("require", False, ENDLESS, (), False, False, "have no second copy"),
        ("require", False, ENDLESS, (FOLLOWS,), True, False, ""),
    ],
)
def test_nobody_waits_for_nobody(
    taken: list[dict[str, Any]],
    policy: str,
    speaks: bool,
    former: dict[str, Any],
    followers: tuple[dict[str, Any] | None, ...],
    takes: bool,
    stuck: bool,
    said: str,
) -> None:
    new = Fake("db2", {"source": 0, "replica": 1}, speaks=speaks)
    others: Any = [Fake(f"db{n}", roles) for n, roles in enumerate(followers, 3)]
    waiting = take_semi_sync(config(policy), new, former, others, "db1")  # type: ignore[arg-type]
    assert (bool(taken), waiting.stuck) == (takes, stuck)
    assert bool(waiting.undone) == bool(said)
    assert said in "".join(waiting.undone)


def test_a_switch_counts_only_those_that_follow_the_new_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one that stays a replica of nobody acknowledges nothing."""
    counted: list[list[str]] = []
    monkeypatch.setattr(take_over, "take_semi_sync", lambda c, s, f, o, n: counted.append(o) or Waiting())
    ready: Any = SimpleNamespace(old_roles=ENDLESS)
    replicas: Any = [
        SimpleNamespace(key="db1", ok=True),
        SimpleNamespace(key="db3", ok=True),
        SimpleNamespace(key="db4", ok=False),
    ]
    for returns in (False, True):
        others = (SimpleNamespace(key="db3"), SimpleNamespace(key="db4"))
        plan = SimpleNamespace(new_primary="db2", old="db1", old_name="db1", others=others, orig_is_new_replica=returns)
        job: Any = SimpleNamespace(sessions=SimpleNamespace(server=str), plan=plan, config=None)
        take_over.move_semi_sync.fn(job, ready, replicas)
    assert counted == [["db3"], ["db1", "db3"]]


def test_events_are_left_where_commits_wait_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = (ScheduledEvent("app", "nightly", "a@%", "ENABLED"), ScheduledEvent("app", "off", "a@%", "DISABLED"))
    here = tuple(ScheduledEvent(e.schema, e.name, e.definer, "SLAVESIDE_DISABLED") for e in ran)
    monkeypatch.setattr(scheduled_events, "read_events", lambda _: here)
    (line,) = events_left(Fake("db2", {}), ran)  # type: ignore[arg-type]
    assert line.startswith("db2: 1 events")
    assert "app.nightly;" in line
    assert events_left(Fake("db2", {}), ()) == ()  # type: ignore[arg-type]


def test_nothing_runs_on_the_old_primary_when_the_new_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(take_over, "set_event_scheduler", lambda server, value: done.append(f"{server} {value}"))
    monkeypatch.setattr(take_over, "enable_events", lambda server, _: done.append(f"{server} events") or ())
    monkeypatch.setattr(take_over, "events_left", lambda server, _: (f"{server} is left",))
    settings = SimpleNamespace(event_scheduler="ON"), SimpleNamespace(event_scheduler="OFF")
    ready: Any = SimpleNamespace(events=(), former=settings[0], target_former=settings[1])
    plan = SimpleNamespace(new_primary="db2", old="db1")
    job: Any = SimpleNamespace(sessions=SimpleNamespace(server=str), plan=plan)
    stays = "db1: its event scheduler stays off"
    assert take_over.move_events.fn(job, ready, Waiting(stuck=True)) == ("db2 is left", stays)
    assert done == ["db1 OFF", "db2 ON"]
    assert take_over.move_events.fn(job, ready, Waiting()) == (stays,)
    assert done[2:] == ["db1 OFF", "db2 ON", "db2 events"]
