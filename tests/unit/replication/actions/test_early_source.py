"""With semi_sync=require a server waits for acknowledgements only when it is opened, and a replica never does."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_mha.flows.runbooks.opening import Opening
from prefect_mha.replication.actions import early_source
from prefect_mha.replication.actions.early_source import (
    EARLY_SOURCE,
    INTENT,
    early_sources,
    note_early_source,
    wait_no_longer,
)
from prefect_mha.replication.errors import CameBack, StatementFailed
from prefect_mha.replication.memory.journal import BEGIN, Journal, opened_before
from prefect_mha.replication.watch import settle
from prefect_mha.tasks import promote
from tests.unit.replication.build import channel, cluster, configured, server

A, B = "10.0.0.2:3306", "10.0.0.3:3306"


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in order."""
    done: list[str] = []
    monkeypatch.setattr(early_source, "read_roles", lambda _: {"source": 0, "replica": 1})
    monkeypatch.setattr(early_source, "take_roles", lambda _, roles: done.append(f"source={roles['source']}"))
    monkeypatch.setattr(promote, "stop_applier", lambda *_, **__: None)
    monkeypatch.setattr(promote, "open_for_writes", lambda *_: done.append("open"))
    return done


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    with closing(Journal(tmp_path / "app1.failover-1.journal")) as found:
        yield found


def opening(journal: Journal, order: list[str], proof: Exception | None = None, policy: str = "require") -> Any:
    """Run the step that opens A."""

    def prove() -> None:
        order.append("proof")
        if proof is not None:
            raise proof

    new = SimpleNamespace(key=A, dialect=SimpleNamespace(speaks_while_commits_wait=True))
    job: Any = SimpleNamespace(
        config=SimpleNamespace(semi_sync=policy),
        sessions=SimpleNamespace(server=lambda _: new),
        journal=journal,
        before_opening=prove,
        lock=None,
    )
    plan: Any = SimpleNamespace(
        new_primary=A, dead="10.0.0.1:3306", kind=SimpleNamespace(value="gtid"), open_for_writes=True
    )
    return promote.promote.fn(job, plan, SimpleNamespace(torn=False), SimpleNamespace(end_of_log=None))


def test_it_waits_between_the_last_proof_and_the_opening(journal: Journal, order: list[str]) -> None:
    opening(journal, order)
    assert order == ["proof", "source=1", "open"]
    assert early_sources(journal.entries()) == (A,)


@pytest.mark.parametrize("policy", ["off", "prefer"])
def test_nobody_is_made_to_wait_who_was_not_asked_to(journal: Journal, order: list[str], policy: str) -> None:
    opening(journal, order, policy=policy)
    assert order == ["proof", "open"]
    assert early_sources(journal.entries()) == ()


def test_one_that_is_not_opened_never_waits(journal: Journal, order: list[str]) -> None:
    with pytest.raises(CameBack):
        opening(journal, order, CameBack("db1 answers"))
    assert order == ["proof"]


def test_one_that_cannot_be_made_to_wait_is_not_opened(
    journal: Journal, order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StatementFailed("db2", "set its role", "access denied", 1227)

    monkeypatch.setattr(early_source, "take_roles", refuse)
    with pytest.raises(StatementFailed):
        opening(journal, order)
    assert order == ["proof"]
    assert opened_before(tuple(journal.entries())) is None


def test_what_was_taken_back_waits_no_longer(journal: Journal, order: list[str]) -> None:
    for key in (A, B):
        assert note_early_source(journal, SimpleNamespace(key=key))  # type: ignore[arg-type]
    wait_no_longer(journal, SimpleNamespace(key=A))  # type: ignore[arg-type]
    assert early_sources(journal.entries()) == (B,)
    assert order == ["source=0"]


@pytest.mark.parametrize("already", [{}, {"source": 1}])
def test_who_waits_already_or_never_can_is_left_alone(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, already: dict[str, int]
) -> None:
    monkeypatch.setattr(early_source, "read_roles", lambda _: already)
    assert not note_early_source(journal, SimpleNamespace(key=A))  # type: ignore[arg-type]
    assert journal.entries() == ()


@pytest.mark.parametrize(("opened", "expected"), [("", [A, B]), (A, [B]), (B, [A])])
def test_whoever_is_opened_keeps_waiting_and_nobody_else(
    journal: Journal, order: list[str], opened: str, expected: list[str]
) -> None:
    past = Journal(journal.path.with_name("app1.failover-0.journal"))
    for where, key in ((past, A), (journal, B)):
        note_early_source(where, SimpleNamespace(key=key))  # type: ignore[arg-type]
    former = SimpleNamespace(key=A) if opened == A else None
    if opened == B:
        journal.record("promote", "intent", B, dead="10.0.0.1:3306", kind="MySQL GTID", end_of_log="")
    taken: list[str] = []
    book: Any = SimpleNamespace(
        job=SimpleNamespace(past=past.entries(), journal=journal),
        opened=former,
        notes=[],
        run=lambda _, __, keys: taken.extend(keys) or (),
    )
    Opening(book).wait_no_longer()
    past.close()
    assert taken == expected


@pytest.mark.parametrize(
    ("opened", "writable", "follows", "expected"),
    [
        ("", False, True, [A]),
        (A, False, True, [A]),
        (A, False, False, []),
        (A, True, True, []),
        (B, False, True, [A]),
        ("", True, True, []),
    ],
)
def test_a_start_takes_back_what_a_killed_failover_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: str, writable: bool, follows: bool, expected: list[str]
) -> None:
    """Killed between the two, one that was about to be opened is asked: one that follows the primary was not."""
    config = configured({}, {}, {}).model_copy(update={"manager_workdir": tmp_path})
    with closing(Journal(tmp_path / f"{config.name}.failover-1.journal")) as killed:
        killed.record(BEGIN, "began", "10.0.0.1:3306")
        killed.record(EARLY_SOURCE, INTENT, A, former={"source": 0})
        if opened:
            killed.record("promote", "intent", opened, dead="10.0.0.1:3306", kind="MySQL GTID", end_of_log="")
        taken: list[str] = []
        monkeypatch.setattr(early_source, "take_roles", lambda server, roles: taken.append(server.key))
        sessions: Any = SimpleNamespace(server=lambda key: SimpleNamespace(key=key))
        seen = cluster(server(2, *([channel()] if follows else []), read_only=not writable), server(3, channel()))
        settle._take_demand_back(config, sessions, seen, config.servers[0])
        settle._take_demand_back(config, sessions, seen, config.servers[0])
        assert taken == expected
