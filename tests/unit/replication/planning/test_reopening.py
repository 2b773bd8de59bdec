"""When a primary that takes no writes is opened again: one thing is changed in a case that is well in every respect."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.config import ClusterConfig
from prefect_mha.replication.memory.last_writable import OBEYS_WITHIN, LastWritable, SeenWritable
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtid, MariadbGtidPosition
from prefect_mha.replication.model.state import Replaced, ServerState, Vendor
from prefect_mha.replication.planning.reopening import ClosedPrimary, Reopening, judge
from tests.unit.replication.build import UUID, at, channel, cluster, server
from tests.unit.replication.checks.building import block

PRIMARY = block(1)
OF_DB2 = UUID.replace("1", "2")


def config(reopen: str = "yes", servers: int = 3) -> ClusterConfig:
    blocks = tuple(block(n) for n in range(1, servers + 1))
    return ClusterConfig(name="app1", path=Path("/etc/mha/app1.cnf"), servers=blocks, reopen=reopen)


def case(*others: ServerState, down: tuple[int, ...] = ()) -> ClosedPrimary:
    """db1 was seen to take writes, was restarted at 2000, and db2 and db3 follow it."""
    primary = server(1)
    replicas = others or (server(2, channel()), server(3, channel()))
    seen = SeenWritable("10.0.0.1:3306", 1000)
    return ClosedPrimary(primary, cluster(primary, *replicas, down=down), 2000, seen, False, {"mysql-bin.000001": 1000})


def test_a_restart_alone_closed_it() -> None:
    for policy, act in (("yes", Reopening.OPEN), ("tell", Reopening.TELL), ("failover", Reopening.FAIL_OVER)):
        assert judge(config(policy), PRIMARY, case()).act is act


def changed(**changes: object) -> Callable[[], ClosedPrimary]:
    return lambda: replace(case(), **changes)  # type: ignore[arg-type]


def seen(**changes: object) -> Callable[[], ClosedPrimary]:
    return lambda: replace(case(), seen=replace(SeenWritable("10.0.0.1:3306", 1000), **changes))  # type: ignore[arg-type]


def with_gtids(executed: str) -> ClosedPrimary:
    """Both have what db1 wrote; db2 has ``executed`` as well."""
    primary = server(1, gtid_mode="ON", gtid_executed=GtidSet.parse(f"{UUID}:1-9"))
    other = server(2, channel(), gtid_mode="ON", gtid_executed=GtidSet.parse(f"{UUID}:1-9{executed}"))
    return replace(case(), state=primary, cluster=cluster(primary, other, server(3, channel())))


def mariadb(*written: MariadbGtid) -> ClosedPrimary:
    """The same on MariaDB."""
    own = MariadbGtid(0, 1, 9)
    place = MariadbGtidPosition.parse("0-1-9")
    common = {"vendor": Vendor.MARIADB, "gtid_executed": None, "gtid_mode": None, "mariadb_gtid": place}
    primary = server(1, gtid_binlog_state=(own,), **common)
    other = server(2, channel(), gtid_binlog_state=(own, *written), **common)
    return replace(case(), state=primary, cluster=cluster(primary, other, server(3, channel(), **common)))


REASONS = [
    ("held", lambda: replace(case(), cluster=replace(case().cluster, held=(Replaced("10.0.0.1:3306", "x"),)))),
    ("interrupted", changed(open_business="a planned switch was interrupted")),
    ("never saw it", changed(seen=None)),
    ("never saw it", seen(key="10.0.0.2:3306")),
    ("by hand while it ran", changed(started=1001)),
    ("by hand while it ran", changed(set_here=True)),
    ("does not take that back", seen(by_hand=True)),
    ("no manager watched", seen(watched=False)),
    ("of its own", lambda: replace(case(), cluster=replace(case().cluster, writing=("10.0.0.2:3306",)))),
    ("of its own", lambda: with_gtids(f",{OF_DB2}:1")),
    ("of its own", lambda: mariadb(MariadbGtid(0, 2, 10))),
    ("can be written", lambda: case(server(2, channel(), read_only=False), server(3, channel()))),
    ("replicates from nobody", lambda: case(server(2), server(3, channel()))),
    ("replicates from 10.0.0.9", lambda: case(server(2, channel(source_host="10.0.0.9")), server(3, channel()))),
    ("lost the end of its log", lambda: case(server(2, channel(received=at(1001))), server(3, channel()))),
    ("no replica of it answers", lambda: replace(case(), cluster=cluster(server(1), down=(2, 3)))),
]


@pytest.mark.parametrize(("why", "make"), REASONS)
def test_it_stays_closed(why: str, make: Callable[[], ClosedPrimary]) -> None:
    for policy in ("yes", "failover"):
        judged = judge(config(policy), PRIMARY, make())
        assert judged.act is Reopening.TELL
        assert why in judged.why


def test_only_what_was_done_in_this_life_is_by_hand() -> None:
    assert judge(config(), PRIMARY, changed(started=1001)()).by_hand
    assert not judge(config(), PRIMARY, seen(by_hand=True)()).by_hand
    assert judge(config(), PRIMARY, changed(set_here=None)()).act is Reopening.OPEN


def test_what_a_failover_had_sent_to_close_it_is_not_done_by_hand() -> None:
    for set_here in (True, None):
        late = replace(seen(started=0, asked=1000.0)(), set_here=set_here)
        judged = judge(config(), PRIMARY, late)
        assert (judged.act, judged.by_hand) == (Reopening.OPEN, False)
        assert "came late" in judged.why


def test_a_dead_replica_is_no_reason_but_too_few_are() -> None:
    one_left = case(server(2, channel()), down=(3,))
    assert judge(config(), PRIMARY, one_left).act is Reopening.OPEN
    assert "too few" in judge(config(servers=5), PRIMARY, one_left).why
    assert "too few" in judge(config(servers=4), PRIMARY, one_left).why


def test_what_others_had_before_is_no_reason_and_what_is_added_is() -> None:
    known = SeenWritable("10.0.0.1:3306", 1000, strays={"10.0.0.2:3306": f"{OF_DB2}:1"})
    assert judge(config(), PRIMARY, replace(with_gtids(f",{OF_DB2}:1"), seen=known)).act is Reopening.OPEN
    assert judge(config(), PRIMARY, replace(with_gtids(f",{OF_DB2}:1-2"), seen=known)).act is Reopening.TELL


def test_with_gtids_a_replica_that_was_left_open_and_wrote_nothing_is_no_reason() -> None:
    given = with_gtids("")
    others = tuple(replace(s, read_only=s.key == "10.0.0.1:3306") for s in given.cluster.up)
    assert judge(config(), PRIMARY, replace(given, cluster=replace(given.cluster, up=others))).act is Reopening.OPEN


def test_a_held_server_and_a_replica_of_a_replica_are_asked_nothing() -> None:
    given = case(server(2, channel()), server(3, channel(source_host="10.0.0.2", received=at(9, 7))))
    assert judge(config(), PRIMARY, given).act is Reopening.OPEN
    held = replace(case(server(2, channel()), server(3)).cluster, held=(Replaced("10.0.0.3:3306", "10.0.0.1:3306"),))
    assert judge(config(), PRIMARY, replace(case(), cluster=held)).act is Reopening.OPEN


def test_it_is_remembered_on_disk_and_an_end_in_order_too(tmp_path: Path) -> None:
    given = config().model_copy(update={"manager_workdir": tmp_path / "w"})
    memory = LastWritable(given)
    assert memory.read() is None
    memory.watch_ends()
    assert memory.read() is None
    known = SeenWritable("10.0.0.1:3306", 1000, by_hand=True, strays={"10.0.0.2:3306": "0-2-1"})
    memory.write(known)
    assert memory.read() == known
    memory.watch_ends()
    assert memory.read() == replace(known, watched=False)
    for text in ("", "[]", '{"key": 1}', '{"key": "a", "started": "x", "watched": 1, "by_hand": 0, "strays": {}}'):
        memory.path.write_text(text)
        assert memory.read() is None


def test_who_was_told_to_close_and_did_not_answer_is_remembered_unless_a_person_had_closed_it(tmp_path: Path) -> None:
    memory = LastWritable(config().model_copy(update={"manager_workdir": tmp_path / "w"}))
    memory.may_close_late("10.0.0.1:3306", time.time())
    assert memory.read() is None
    known = SeenWritable("10.0.0.1:3306", 1000, strays={"10.0.0.2:3306": "0-2-1"})
    memory.write(known)
    memory.may_close_late("10.0.0.2:3306", time.time())
    assert memory.read() == known
    memory.may_close_late("10.0.0.1:3306", time.time())
    late = memory.read()
    assert late is not None and late.asked > 0
    assert late == replace(known, started=0, asked=late.asked)
    memory.write(replace(late, asked=late.asked - OBEYS_WITHIN))
    assert memory.read() == replace(known, started=0)
    memory.write(known)
    memory.write(replace(known, by_hand=True))
    memory.may_close_late("10.0.0.1:3306", time.time())
    assert memory.read() == replace(known, by_hand=True)
