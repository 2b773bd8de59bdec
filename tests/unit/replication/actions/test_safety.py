"""Nothing deletes relay logs without a proof, and no proof is given while something is unexecuted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mha.replication.actions.drained import Drained, _still_true, forget_with_old_data, prove, prove_kept
from prefect_mha.replication.errors import UnsafeStatement
from prefect_mha.replication.model.gtid import GtidSet
from prefect_mha.replication.model.one_time_account import one_time_user
from prefect_mha.replication.model.position import BinlogPosition
from tests.unit.replication.build import UUID, at, channel, server

HOUSE = Path(__file__).parents[4]


def proof_of(
    before: dict[str, object],
    after: dict[str, object],
    *,
    seconds: float = 1.0,
    appliers_wait: bool = True,
    **state: object,
) -> Drained | str:
    earlier = server(2, channel(receiver="No", **before), observed_at=100.0)
    now = server(2, channel(receiver="No", **after), observed_at=100.0 + seconds, **state)
    return prove(earlier, now, "", appliers_wait=appliers_wait)


@pytest.mark.parametrize(
    ("before", "after", "why_not"),
    [
        ({}, {}, None),
        ({"executed": at(900)}, {"executed": at(1000)}, None),
        ({"executed": at(900), "has_read_all": False}, {"executed": at(900), "has_read_all": False}, "received up to"),
        ({"executed": at(900)}, {"executed": at(900)}, None),  # a torn transaction is all that is left
        ({"executed": at(800)}, {"executed": at(900)}, "received up to"),  # it still moves
        ({"executed": at(900), "has_read_all": False}, {"executed": at(900)}, "received up to"),
        (
            {"executed": at(900)},
            {"executed": at(900), "relay_log": BinlogPosition("relay.000003", 4)},
            "received up to",
        ),
        ({}, {"applier_errno": 1062, "applier_error": "Duplicate"}, "error 1062"),
    ],
)
def test_what_proves_a_replica_drained(
    before: dict[str, object], after: dict[str, object], why_not: str | None
) -> None:
    result = proof_of(before, after)
    if why_not is None:
        assert isinstance(result, Drained)
    else:
        assert isinstance(result, str)
        assert why_not in result


def test_a_running_receiver_is_never_drained() -> None:
    proof = prove(server(2, channel()), server(2, channel()), "", appliers_wait=True)
    assert proof == "the receiver is still running"


@pytest.mark.parametrize(("seconds", "waits", "drained"), [(0.7, True, True), (0.5, True, False), (9.0, False, False)])
def test_parallel_appliers_that_are_late_with_their_place_are_not_drained(
    seconds: float, waits: bool, drained: bool
) -> None:
    """They have read everything, some still execute, and the place comes up to date once in 0.3 s."""
    behind = {"executed": at(900)}
    assert isinstance(proof_of(behind, behind, seconds=seconds, appliers_wait=waits), Drained) is drained


@pytest.mark.parametrize(
    ("received", "executed", "true"), [(1000, 900, True), (1000, 1000, True), (1000, 899, False), (1001, 900, False)]
)
def test_a_proof_holds_while_nothing_is_received_and_the_place_only_comes_up_to_date(
    received: int, executed: int, true: bool
) -> None:
    proof = Drained("k", "n", "", at(1000), at(900))
    assert _still_true(proof, channel(received=at(received), executed=at(executed))) is true


def test_all_retrieved_gtids_executed_is_drained() -> None:
    behind = {"executed": at(900), "has_read_all": False, "retrieved": GtidSet.parse(f"{UUID}:1-5")}
    behind["auto_position"] = True
    assert isinstance(proof_of(behind, behind, gtid_executed=GtidSet.parse(f"{UUID}:1-5")), Drained)
    assert isinstance(proof_of(behind, behind, gtid_executed=GtidSet.parse(f"{UUID}:1-4")), str)


@given(st.integers(4, 2000), st.integers(4, 2000), st.booleans(), st.booleans())
def test_unread_relay_log_is_never_proven_drained(
    received: int, executed: int, all_before: bool, all_now: bool
) -> None:
    left = {"received": at(received), "executed": at(executed)}
    result = proof_of({**left, "has_read_all": all_before}, {**left, "has_read_all": all_now})
    if isinstance(result, Drained):
        assert received == executed or (all_before and all_now)


def test_only_the_guard_issues_statements_that_delete_relay_logs() -> None:
    """RESET and CHANGE are rendered by dialects; whoever asks for them must hand them to discard_relay_logs."""
    callers = {
        path.relative_to(HOUSE).as_posix(): path.read_text()
        for folder in ("replication", "tasks", "flows", "commands")
        for path in (HOUSE / folder).rglob("*.py")
        if path.parent.name != "dialects" and path.name != "safety.py"
    }
    raw = re.compile(
        r"\b(RESET (REPLICA|SLAVE|MASTER|BINARY)|CHANGE (MASTER|REPLICATION SOURCE))\b.*TO|RESET \w+ ALL\""
    )
    asks = {name for name, text in callers.items() if "dialect.change_source(" in text or "dialect.reset_all(" in text}
    assert asks == {
        "replication/actions/drained.py",
        "replication/actions/promote.py",
        "replication/rescue/pointing.py",
        "replication/actions/repoint.py",
    }
    for name in asks:
        assert "discard_relay_logs(" in callers[name], name
    for name, text in callers.items():
        code = "\n".join(line for line in text.splitlines() if ".query(" in line)
        assert not raw.search(code), name


def test_relay_logs_of_old_data_go_only_where_that_is_kept() -> None:
    nobody: Any = "db1"
    with pytest.raises(UnsafeStatement, match="were not kept with its old data"):
        forget_with_old_data(nobody, "", "")


@pytest.mark.parametrize(
    ("changes", "why_not"),
    [
        ({}, ""),
        ({"applier_errno": 1062}, ""),
        ({"executed": at(800)}, ""),
        ({"source_user": "repl"}, "does not follow a saved log"),
        ({"receiver": "Yes"}, "threads run"),
        ({"applier_running": True}, "threads run"),
    ],
)
def test_only_what_a_saved_log_served_is_given_up_unexecuted(changes: dict[str, object], why_not: str) -> None:
    """The manager keeps the log that it was served from; of any other source the relay logs may be the only copy."""
    turned: dict[str, object] = {"source_user": one_time_user(), "receiver": "No", "applier_running": False}
    proof = prove_kept(server(2, channel(**{**turned, **changes})), "")
    if why_not:
        assert why_not in str(proof)
    else:
        assert isinstance(proof, Drained)
