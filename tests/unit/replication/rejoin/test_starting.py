"""Who is down is started only where a failover or a rebuild left it so, beside a primary that lives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest

from prefect_mha.config import ServerConfig
from prefect_mha.replication.errors import StatementFailed
from prefect_mha.replication.memory.held_servers import Hold
from prefect_mha.replication.model.state import ClusterState, GtidKind
from prefect_mha.replication.mysql.server import Server
from prefect_mha.replication.rejoin.observe import WhoIsBack
from prefect_mha.replication.rejoin.rebuild import place
from prefect_mha.replication.rejoin.rebuild.place import ABANDONED, NotHeld, held_still
from prefect_mha.replication.rejoin.rebuild.verify import Verified
from prefect_mha.replication.rejoin.remembered.interrupted import BegunRejoin
from prefect_mha.replication.rejoin.starting import why_not_started
from tests.unit.replication.build import channel, cluster, configured, server

CONFIG = configured({}, {}, {})
OLD = CONFIG.servers[0]
HELD = WhoIsBack(CONFIG, OLD, Hold(OLD.address, "db1", 1.0, "10.0.0.2:3306"), configured=True)
NOBODY = replace(HELD, hold=None)
CUT_SHORT = BegunRejoin(OLD.address, 1.0, "root", {"how": "rebuild"}, ended=False, alive=False, pointed=False)
OF_DB2 = channel(source_host="10.0.0.2", source_server_id=2)
WORKS = cluster(server(2, read_only=False), server(3, OF_DB2), down=(1,))
CLOSED = cluster(server(2), server(3, OF_DB2), down=(1,))
#: It is the primary, and was found dead.
PRIMARY = cluster(server(2, channel()), server(3, channel()), down=(1,))


@pytest.mark.parametrize(
    ("who", "state", "last", "words"),
    [
        (HELD, WORKS, None, ""),
        (NOBODY, WORKS, CUT_SHORT, ""),
        (NOBODY, WORKS, None, "no failover of this host replaced it"),
        (NOBODY, WORKS, replace(CUT_SHORT, ended=True), "no failover of this host replaced it"),
        (NOBODY, PRIMARY, None, "no failover of this host replaced it"),
        (HELD, PRIMARY, None, "no other server lives and takes the writes"),
        (HELD, CLOSED, None, "no other server lives and takes the writes"),
    ],
)
def test_who_is_started(who: WhoIsBack, state: ClusterState, last: BegunRejoin | None, words: str) -> None:
    found = why_not_started(who, state, last)
    assert (words in found) if words else not found


class Busy(Server):
    """Its statements keep FLUSH TABLES WITH READ LOCK waiting."""

    said: ClassVar[list[str]] = []

    def query(self, sql: str, *_: Any, **__: Any) -> list[dict[str, Any]]:
        self.said.append(sql)
        if sql.startswith("FLUSH"):
            raise StatementFailed(str(self), "hold", "Lock wait timeout exceeded", 1205)
        return []


def test_a_lock_that_cannot_be_had_is_no_difference_and_one_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "Server", Busy)
    monkeypatch.setattr(place, "TRIES", 1)
    config: ServerConfig = CONFIG.servers[1]
    with pytest.raises(NotHeld, match="Lock wait timeout"), held_still(config, config, GtidKind.MYSQL):
        pass
    assert Busy.said[0] == f"SET SESSION wait_timeout = {ABANDONED}"
    assert str(Verified(0, 7, why_not="not compared: busy")) == "its 7 tables were not compared: busy"
