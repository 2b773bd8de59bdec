"""A place in a log that was begun anew under the same name is no place."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_mha.replication.errors import StatementFailed
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.rejoin import observe


class Session:
    """A server whose log of that name is larger than the place."""

    def query(self, _: str, **__: Any) -> list[dict[str, Any]]:
        return [{"Log_name": "mysql-bin.000001", "File_size": 9000}]

    def scalar(self, _: str, **__: Any) -> int:
        return 1


@pytest.mark.parametrize(("errno", "told"), [(1220, True), (1226, False)])
def test_a_place_within_an_event_is_of_another_log(errno: int, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_events(*_: Any, **__: Any) -> Any:
        raise StatementFailed("db1", "read its log", "Wrong offset or I/O error", errno)

    monkeypatch.setattr(observe, "events_of", no_events)
    server: Any = Session()
    place = BinlogPosition("mysql-bin.000001", 4711)
    if told:
        assert observe._own_log(server, place, own_only=True) == (None, None)
        return
    with pytest.raises(StatementFailed):
        observe._own_log(server, place, own_only=True)
