"""An account that has what the checks ask for, and nothing else, is enough for a rescue of whatever a tail may hold."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.contents import Contents, picture
from tests.scenarios.failing_over import kinds, promoted
from tests.scenarios.test_rescue_contents import level

FEW = "'few'@'%'"


def missing(cluster: Cluster, conf: Path) -> list[dict[str, Any]]:
    """What masterha_check_repl calls an error."""
    done = cluster.command("masterha_check_repl", f"--conf={conf}", "--output=json")
    checks = json.loads(done.output[done.output.index("{\n") : done.output.rindex("}") + 1])["checks"]
    return [c for c in checks if not c["ok"] and c["severity"] == "error"]


@pytest.mark.parametrize(
    ("kind", "gtid"),
    kinds(
        "mariadb-gtid", slow=("mariadb-position", "11.8-gtid", "9.7-gtid", "9.7-position", "5.6-gtid", "5.6-position")
    ),
)
def test_an_account_made_of_the_checks_words_rescues_every_kind_of_statement(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql(f"CREATE USER {FEW} IDENTIFIED BY 'x-Y-z-1'")
        level(cluster)
        ends = time.monotonic() + 15
        while any(not h.sql("SELECT 1 FROM mysql.user WHERE user = 'few'") for h in cluster.hosts):
            assert time.monotonic() < ends
            time.sleep(0.05)
        conf = cluster.write_cnf(default="user=few\npassword=x-Y-z-1", candidate=2)
        for check in missing(cluster, conf):
            if check["name"].startswith("privilege-") and check["subject"].startswith(cluster[1].ip):
                found = re.search(r"`(GRANT [^`]+)`", check["hint"])
                assert found, check
                cluster[1].sql(found[1])
        level(cluster)
        ends = time.monotonic() + 15
        while left := missing(cluster, conf):
            assert time.monotonic() < ends, left
        granted = {str(v) for row in cluster[1].sql(f"SHOW GRANTS FOR {FEW}") for v in row.values()}
        assert not [g for g in granted if re.search(r"ALL PRIVILEGES|CREATE|INSERT|DELETE", g)], granted
        manager = cluster.start_manager(conf)
        cluster[1].sql("CREATE TABLE app.parent (id INT PRIMARY KEY) ENGINE=InnoDB")
        level(cluster)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        Contents(cluster[1], gtid=gtid, part=1).write()
        cluster[1].sql(
            "CREATE TABLE app.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES app.parent (id)) "
            "ENGINE=InnoDB"
        )
        cluster[1].sql("CREATE FUNCTION app.one() RETURNS INT DETERMINISTIC RETURN 1")
        expected = picture(cluster[1])
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        assert promoted(cluster) == 2, manager.log()
        for number in (2, 3):
            assert picture(cluster[number]) == expected, manager.log()
