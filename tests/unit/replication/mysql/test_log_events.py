"""The events of a living server's log, a page with a question."""

from __future__ import annotations

from typing import Any, cast

import pytest

from prefect_mha.replication.mysql.log_events import events_of
from prefect_mha.replication.mysql.server import Server


class Log:
    """A server whose log has an event at each 10 bytes; those ``without`` tell no end, as within MariaDB 11's."""

    def __init__(self, count: int, without: set[int]) -> None:
        self.rows = [
            {"Pos": 10 * n, "End_log_pos": 0 if n in without else 10 * (n + 1), "n": n} for n in range(1, count + 1)
        ]

    def query(self, _: str, args: tuple[str, int, int], **__: Any) -> list[dict[str, Any]]:
        _, begin, most = args
        assert begin in {0, *(row["End_log_pos"] for row in self.rows)} - {0} | {4}, "a place that is none"
        return [row for row in self.rows if row["Pos"] >= begin][:most]


@pytest.mark.parametrize("without", [set(), {3}, {2, 3, 4, 5, 6, 7, 8}, {9, 10}])
@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_every_event_comes_once_in_order_wherever_a_page_ends(without: set[int], at_once: int) -> None:
    events = events_of(cast("Server", Log(10, without)), "log", 4, at_once=at_once)
    assert [event["n"] for event in events] == list(range(1, 11))
