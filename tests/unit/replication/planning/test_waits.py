"""How commits waited is proven by looks: of settings, of the server's own word, and of an acknowledgement."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_mha.replication.model.state import SemiSync
from prefect_mha.replication.planning.waits import LONGEST_WAIT, Waits, looked
from prefect_mha.replication.watch.commits import look

FOR_EVER = SemiSync(True, False, LONGEST_WAIT, "AFTER_SYNC", True)


def after(*looks: tuple[bool, int], semi: SemiSync = FOR_EVER) -> Waits:
    seen: Waits | None = None
    for at, (on, acknowledged) in enumerate(looks):
        seen = looked(seen, float(at), semi, on=on, acknowledged=acknowledged)
    assert seen is not None
    return seen


@pytest.mark.parametrize(
    ("looks", "covered"),
    [
        pytest.param([(True, 5)], False, id="seen once: it may have been enabled just now"),
        pytest.param([(True, 5), (True, 5)], False, id="nothing was acknowledged"),
        pytest.param([(True, 5), (True, 6)], True, id="one was, and all before it with it"),
        pytest.param([(True, 5), (True, 6), (True, 6)], True, id="idle since"),
        pytest.param([(True, 5), (True, 6), (False, 6)], False, id="fell back"),
        pytest.param([(True, 5), (False, 6), (True, 7)], False, id="fell back in between"),
        pytest.param([(True, 5), (True, 6), (True, 0)], False, id="started again"),
    ],
)
def test_an_acknowledgement_is_seen_while_it_waits(looks: list[tuple[bool, int]], covered: bool) -> None:
    assert after(*looks).covered is covered


@pytest.mark.parametrize(
    "change",
    [
        {"source_enabled": False},
        {"timeout": 3_600_000},
        {"wait_point": "AFTER_COMMIT"},
        {"alone": False},
    ],
)
def test_it_has_to_wait_for_ever_by_its_settings_too(change: dict[str, Any]) -> None:
    assert not after((True, 5), (True, 6), semi=replace(FOR_EVER, **change)).covered


@pytest.mark.parametrize(
    ("looks", "since"),
    [
        pytest.param([(5, 0), (5, 2)], 0.0, id="seen once: it may be answered the next moment"),
        pytest.param([(5, 0), (5, 2), (5, 2)], 1.0, id="since it was seen first"),
        pytest.param([(5, 2), (6, 2), (6, 3), (6, 3)], 2.0, id="one was acknowledged before"),
        pytest.param([(5, 0), (5, 2), (5, 2), (6, 2)], 0.0, id="one was acknowledged since"),
        pytest.param([(5, 0), (5, 2), (5, 2), (5, 0)], 0.0, id="nobody waits any more"),
        pytest.param([(5, 0), (5, 0), (5, 0)], 0.0, id="idle"),
    ],
)
def test_commits_wait_in_vain_since(looks: list[tuple[int, int]], since: float) -> None:
    seen: Waits | None = None
    for at, (acknowledged, waiting) in enumerate(looks):
        seen = looked(seen, float(at), FOR_EVER, on=True, acknowledged=acknowledged, waiting=waiting)
    assert seen is not None
    assert seen.in_vain == since


@pytest.mark.parametrize("word", ["source", "master"])
def test_the_servers_own_word_is_asked_for_by_either_name(word: str) -> None:
    status = {"status": "ON", "yes_tx": "7", "wait_sessions": "1"}
    settings = {"enabled": "ON", "timeout": str(LONGEST_WAIT), "wait_point": "AFTER_SYNC"}
    alone = f"wait_no_{'replica' if word == 'source' else 'slave'}"

    def query(sql: str, **_: Any) -> list[dict[str, str]]:
        told = status if "STATUS" in sql else settings | {alone: "ON"}
        return [{"Variable_name": f"Rpl_semi_sync_{word}_{name}", "Value": value} for name, value in told.items()]

    asked: Any = SimpleNamespace(query=query, reading=lambda _: nullcontext())
    seen = look(asked, Waits(0.0, True, 7, stands=5.0))
    assert (seen.waits, seen.acknowledged, seen.covered, seen.in_vain) == (True, 7, False, 5.0)
    assert look(asked, Waits(0.0, True, 6)).covered
    status["status"] = "OFF"
    assert not look(asked, Waits(0.0, True, 6)).waits
