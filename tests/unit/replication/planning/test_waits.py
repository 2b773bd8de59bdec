"""How commits waited is proven by looks: of settings, of the server's own word, and of an acknowledgement."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_mha.replication.model.state import SemiSync
from prefect_mha.replication.planning.waits import LONGEST_WAIT, Waits, looked
from prefect_mha.replication.watch.commits import look
from tests.unit.replication.build import server

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


@pytest.mark.parametrize("word", ["source", "master"])
def test_the_servers_own_word_is_asked_for_by_either_name(word: str) -> None:
    rows = [
        {"Variable_name": f"Rpl_semi_sync_{word}_status", "Value": "ON"},
        {"Variable_name": f"Rpl_semi_sync_{word}_yes_tx", "Value": "7"},
    ]
    asked: Any = SimpleNamespace(observe=lambda: server(1, semi_sync=FOR_EVER), query=lambda *_, **__: rows)
    seen = look(asked, Waits(0.0, True, 6))
    assert (seen.waits, seen.acknowledged, seen.covered) == (True, 7, True)
    rows[0]["Value"] = "OFF"
    assert not look(asked, Waits(0.0, True, 6)).waits
