"""A server that was started is waited for as long as it runs."""

from __future__ import annotations

from typing import Any, cast

import pytest

from prefect_mha.replication.errors import DeadlineExceeded, HostError, ServerUnreachable
from prefect_mha.replication.mysql.server import Server
from prefect_mha.replication.rejoin.rebuild import on_host
from prefect_mha.replication.rejoin.rebuild.on_host import answers
from tests.unit.replication.planning.test_selection_and_plan import configured


class Starting:
    """It answers at its look of that number."""

    config = configured({}).servers[0]

    def __init__(self, at: int) -> None:
        self._left = at

    def close(self) -> None:
        pass

    def observe(self) -> str:
        self._left -= 1
        if self._left:
            raise ServerUnreachable("db1", "connect", "refused", errno=2003)
        return "it is there"


class Clock:
    """It goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(on_host, "time", made)
    return made


def test_one_that_ended_is_not_waited_for(clock: Clock) -> None:
    with pytest.raises(HostError, match=r"its error log tells why .*refused"):
        answers(cast(Server, Starting(0)), lambda: False, 600.0)
    assert on_host.GONE < clock.now < 2 * on_host.GONE


def test_one_that_recovers_for_long_is_and_one_between_two_lives(clock: Clock) -> None:
    lives: Any = iter([False, True] * 1000)
    assert str(answers(cast(Server, Starting(1000)), lambda: next(lives), 600.0)) == "it is there"
    with pytest.raises(DeadlineExceeded):
        answers(cast(Server, Starting(0)), lambda: True, 100.0)
