"""What keeps a replica's channel busy, by a recorded look at a server that has two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects import Dialect
from prefect_mha.replication.mysql.server import Server
from prefect_mha.replication.workload import busy
from tests.unit.replication.build import channel

MYSQL = Dialect(Vendor.MYSQL, (9, 7, 0), replica_words=True, binary_log_status=True, multi_channel=True)
MARIADB = Dialect(Vendor.MARIADB, (10, 11, 6), replica_words=False, binary_log_status=False, multi_channel=False)


def thread(number: int, state: str, info: str | None = None, seconds: int = 40, **more: Any) -> dict[str, Any]:
    row = {"Id": number, "User": "system user", "Host": "", "db": None, "Command": "Query", "Time": seconds}
    return {**row, "State": state, "Info": info, **more}


#: Our own channel has executed all; "other" has been held up for 40 s by session 31, in a lock for a table.
PROCESSES = (
    thread(9, "Waiting for source to send event", Command="Connect"),
    thread(11, "Replica has read all relay log; waiting for more updates"),
    thread(12, "Waiting for an event from Coordinator", Command="Connect"),
    thread(21, "Waiting for replica workers to process their queues"),
    thread(22, "Waiting for table metadata lock", "ALTER TABLE elsewhere.t ADD w INT"),
    thread(31, "", None, User="app", Host="10.0.0.9:50000", Command="Sleep"),
)
OWN, OTHERS = (11, 12), (21, 22)


class Recorded:
    """Answers as it did. ``tells`` is whether its performance schema knows whose threads they are."""

    thread_id = 40

    def __init__(self, dialect: Dialect, tells: bool, channels: Sequence[str] = ("", "other")) -> None:
        self.dialect, self._tells, self._channels = dialect, tells, channels
        self.asked: list[Any] = []

    def show_channels(self) -> list[dict[str, Any]]:
        return [{"Channel_Name": name} for name in self._channels]

    def query(self, sql: str, args: Sequence[Any] = (), **_: Any) -> list[dict[str, Any]]:
        if sql == "SHOW FULL PROCESSLIST":
            return list(PROCESSES)
        if "replication_applier_status_by_coordinator" in sql:
            numbers = (OWN if args[0] == "" else OTHERS) if self._tells else ()
            return [{"process": number} for number in numbers]
        if " AS age " in sql:
            self.asked.append(args[0])
            return [{"age": 39.5}]
        return [{"process": 31}] if "metadata_locks" in sql else []


def look(server: Recorded, name: str = "") -> busy.Work | None:
    return busy.look(cast(Server, server), channel(name=name))


def test_what_another_channel_is_at_keeps_this_one_from_nothing() -> None:
    assert look(Recorded(MYSQL, tells=True)) is None


def test_each_channel_has_its_own_statement_and_who_is_in_its_way() -> None:
    server = Recorded(MYSQL, tells=True)
    work = look(server, "other")
    assert work is not None
    assert (work.statement, work.locked, [b.id for b in work.blockers]) == (
        "ALTER TABLE elsewhere.t ADD w INT",
        True,
        [31],
    )
    assert server.asked == ["other"], "how long it has been at it is asked of that channel"


@pytest.mark.parametrize("dialect", [MYSQL, MARIADB])
def test_nobody_is_named_who_may_be_in_the_way_of_another_channel_only(dialect: Dialect) -> None:
    work = look(Recorded(dialect, tells=False))
    assert work is not None, "whether this channel's own has executed all is not known"
    assert work.locked
    assert work.blockers == ()


def test_with_one_channel_all_appliers_are_its_own() -> None:
    work = look(Recorded(MARIADB, tells=False, channels=("",)))
    assert work is not None
    assert [b.id for b in work.blockers] == [31]
