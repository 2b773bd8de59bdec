"""Somebody points an old primary that is ahead at the new one, as the log of a failover used to say: it replicates
without an error, and holds other data. The next check finds that, and names each transaction."""

from __future__ import annotations

import json
import re

import pytest

from tests.lab.cluster import Cluster
from tests.lab.kinds import REPL, REPL_PASSWORD
from tests.scenarios.test_late_rescue import TABLE, Apart, executed, run

pytestmark = pytest.mark.slow
TAIL = [f"INSERT INTO app.t VALUES ({number}, 'old')" for number in range(1000, 1012)]


def pointed_by_hand(apart: Apart) -> None:
    """CHANGE with auto-position, and START: both halves run."""
    word = apart.old.kind.word
    change = (
        f"CHANGE {word('REPLICATION SOURCE', 'MASTER')} TO {word('SOURCE', 'MASTER')}_HOST='{apart.new.ip}', "
        f"{word('SOURCE', 'MASTER')}_USER='{REPL}', {word('SOURCE', 'MASTER')}_PASSWORD='{REPL_PASSWORD}', "
        f"{word('SOURCE', 'MASTER')}_AUTO_POSITION=1"
    )
    if apart.old.kind.modern:
        change += ", GET_SOURCE_PUBLIC_KEY=1"
    run(apart.old, [change, f"START {word('REPLICA', 'SLAVE')}", "SET GLOBAL read_only=1"])
    run(apart.new, ["INSERT INTO app.t VALUES (1, 'new')"])
    executed(apart.old, apart.new)


@pytest.mark.parametrize("kind", ["mysql56", "mysql97"])
def test_the_next_check_names_each_transaction(kind: str) -> None:
    with Cluster(kind, gtid=True) as cluster:
        apart = Apart(cluster, [TABLE], TAIL)
        uuid = apart.old.sql("SELECT @@server_uuid AS u")[0]["u"]
        pointed_by_hand(apart)
        checked = cluster.command("masterha_check_repl", f"--conf={apart.conf}", "--output=json")
        told = json.loads(checked.output[checked.output.index("{") :])
        (found,) = [check for check in told["checks"] if check["name"] == "errant-transactions" and not check["ok"]]
        assert apart.old.ip in found["subject"], found
        first, last = re.search(rf"{uuid}:(\d+)-(\d+)", found["text"]).groups()  # type: ignore[union-attr]
        assert int(last) - int(first) + 1 == len(TAIL), found
        # And what each of them is, by the tools of a server that is back.
        kept = apart.rejoin("--how=rescue")
        assert kept.code == 10, kept
        listed = apart.lines_of_archive()
        assert [each["gtid"] for each in listed] == [f"{uuid}:{n}" for n in range(int(first), int(last) + 1)], listed
        assert all(each["tables"] == ["app.t"] for each in listed), listed
        apart.assert_archived()
