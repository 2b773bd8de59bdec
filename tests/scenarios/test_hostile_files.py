"""Files that mysqld's user may have left on a dead primary's host: nothing else is read, and nobody is held up."""

from __future__ import annotations

import signal
import time

import pytest

from tests.lab.cluster import Cluster
from tests.lab.plain_user import as_plain_user
from tests.lab.writer import Writer, gap
from tests.scenarios.failing_over import assert_survivors_agree, finish

SECRET = "words of root alone"
#: What stands in place of the next log, and what is said of it.
IN_PLACE = {
    "link": ("ln -s /root/secret", "it is a link"),
    "pipe": ("mkfifo", "it is no file"),
    "directory": ("mkdir", "it is no file"),
    "hole": ("truncate -s 10T", "bytes long, and"),
}
#: Put by mysqld's user: names of no server's making, and pipes where a pid file and an account's file are looked for.
BESIDE = r"""
cd /var/lib/mysql
touch "$(printf 'mysql-bin.00000\n7')" "$(printf 'mysql-bin.\377')" mysql-bin.99999999999999999999
touch -- "-rf" "mysql-bin.\$(id)"
rm -f /run/mysqld/mysqld.pid master.info
mkfifo /run/mysqld/mysqld.pid master.info
ln -s /root/secret mysql-bin.000009
"""


@pytest.mark.parametrize(
    ("what", "user"),
    [
        pytest.param(what, user, id=f"{what}-{user}", marks=pytest.mark.slow)
        for user in ("root", "mha")
        for what in IN_PLACE
    ],
)
def test_what_mysqlds_user_left_in_place_of_files_is_not_read_and_holds_nobody_up(what: str, user: str) -> None:
    make, sentence = IN_PLACE[what]
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf(candidate=2, default="start_checks=warn")
        if user != "root":
            as_plain_user(cluster, conf)
        manager = cluster.start_manager(conf)
        writer = Writer(cluster)
        time.sleep(0.5)
        for number in (3, 2):
            cluster.stop_receiver(cluster[number])
        time.sleep(0.5)
        manager.process.send_signal(signal.SIGSTOP)
        cluster[1].signal_mysqld(signal.SIGKILL)
        cluster[1].run(f"printf '\\376bin{SECRET}' >/root/secret; chmod 600 /root/secret")
        odd = "/var/lib/mysql/mysql-bin.000002"
        cluster[1].run(f"{BESIDE}\n{make} {odd}\necho ./mysql-bin.000002 >>mysql-bin.index")
        began = time.time()
        manager.process.send_signal(signal.SIGCONT)
        code, acks = finish(manager, writer, seconds=60.0)
        assert code in (0, 10), manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))
        assert "that no replica had" in manager.log()
        assert sentence in manager.log()
        assert gap(acks, began) < 10.0, manager.log()
        read = [p for p in cluster.seat.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
        assert read == [], manager.log()
        assert cluster[1].run(f"ls -d {odd}; cat /root/secret | wc -c").split() == [odd, str(4 + len(SECRET))]
