"""A second server is lost while the first one is being replaced: what any disk still holds is on who is left.

A saved tail belongs to the cluster until everybody has it, and a replica that answers no more still has its disk.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.replication.memory.journal import read_journal
from tests.lab.checker import account
from tests.lab.cluster import Cluster, Manager
from tests.lab.host import Host
from tests.lab.writer import Ack, Writer
from tests.scenarios.moving import wait_until
from tests.scenarios.test_manager_killed import kill_at
from tests.scenarios.test_returns_while_replaced import paused
from tests.scenarios.test_who_is_primary import OPENED, writable, writes_there

EXECUTES = '"step": "Execute what was received", "event": "began"'
HELD = '"step": "Hold the old primary", "event": "done"'
#: A chosen one whose applier waits for a lock is waited for, and nobody is ended.
PATIENT = "busy_candidate=wait\nend_blockers=0"
CATCHES_UP = '"step": "Catch up from the most advanced replica", "event": "began"'


def modes(*quick: str, gtid: bool | None = None) -> list[Any]:
    """All six modes, of which these are run for every change; ``gtid`` leaves out the others."""
    return [
        pytest.param(kind, by_gtid, id=name, marks=() if name in quick else pytest.mark.slow)
        for name, kind, by_gtid in (
            ("mariadb-gtid", "mariadb", True),
            ("9.7-position", "mysql97", False),
            ("9.7-gtid", "mysql97", True),
            ("5.6-position", "mysql56", False),
            ("5.6-gtid", "mysql56", True),
            ("mariadb-position", "mariadb", False),
        )
        if gtid in (None, by_gtid)
    ]


def journals(workdir: Path) -> str:
    return "".join(path.read_text() for path in workdir.glob("*.failover-*.journal"))


def ledgers(workdir: Path) -> list[dict[str, Any]]:
    """The lines of every failover, the oldest first."""
    return [line for path in sorted(workdir.glob("*.ledger.json")) for line in json.loads(path.read_text())]


def rows_on(cluster: Cluster, writer: Writer, number: int, rows: int = 60) -> None:
    """The primary acknowledges so many more, and only this replica receives them; 0 for none."""
    before = len(writer.acks())
    for other in cluster.hosts[1:]:
        if other.number != number:
            cluster.stop_receiver(other)
    wait_until(lambda: len(writer.acks()) >= before + rows, "rows that not all received")


def patient(host: Host) -> None:
    """Its receiver goes on trying for minutes, as it does with the usual minute between two attempts."""
    if host.kind.modern:
        for statement in ("STOP REPLICA", "CHANGE REPLICATION SOURCE TO SOURCE_RETRY_COUNT=1000", "START REPLICA"):
            host.sql(statement)


def forget_files(workdir: Path) -> None:
    """What the manager had saved is gone, be it that somebody made room."""
    for path in workdir.glob("saved_*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def lost_on(acks: list[Ack], host: Host) -> int:
    return account(acks, [host], seconds=3.0).rows_lost


# what was saved is the cluster's -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "lost"),
    [
        pytest.param("files", "closed", id="files"),
        pytest.param("files", "dark", id="files-dark", marks=pytest.mark.slow),
        pytest.param("disk", "dark", id="disk-dark", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(("kind", "gtid"), modes("mariadb-gtid", gtid=True))
def test_the_new_primary_is_lost_before_the_third_has_the_rescued_rows(
    kind: str, gtid: bool, left: str, lost: str
) -> None:
    """They lie in the manager's directory, or else on the first one's disk; the second's cannot be read."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        patient(cluster[3])
        manager = cluster.start_manager(conf)
        writer = Writer(cluster)
        rows_on(cluster, writer, 0)
        acks = writer.stop()
        cluster[3].blackhole(cluster[2].ip)
        cluster[1].signal_mysqld(signal.SIGKILL)
        wait_until(lambda: OPENED in journals(manager.workdir), "db2 is open", 40.0)
        if lost == "closed":
            cluster[2].run("pkill -KILL '^sshd'", check=False)
            cluster[2].signal_mysqld(signal.SIGKILL)
        else:
            cluster[2].power_off()
        # That host is to see for itself that nothing comes back from there.
        cluster[3].run(f"ip route del blackhole {cluster[2].ip}/32")
        if left == "disk":
            forget_files(manager.workdir)
        code = manager.wait(120.0)
        told = manager.log()
        assert code in (0, 10), told
        assert writable(cluster[3]), told
        assert lost_on(acks, cluster[3]) == 0, told
        rescued = [line for line in ledgers(manager.workdir) if line["fate"] == "rescued"]
        assert any(cluster[1].ip in line["source"] and cluster[3].ip in line["server"] for line in rescued), told


@pytest.mark.slow
@pytest.mark.parametrize("second", ["readable", "dark"])
@pytest.mark.parametrize("left", ["files", "disk"])
@pytest.mark.parametrize(("kind", "gtid"), modes("9.7-position"))
def test_the_manager_and_the_new_primary_die_and_the_third_still_follows_the_first(
    kind: str, gtid: bool, left: str, second: str
) -> None:
    """It is levelled from the first one's tail, then from the second's log; what nobody can read is told."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        manager = cluster.start_manager(conf)
        writer = Writer(cluster, seconds=200.0)
        rows_on(cluster, writer, 0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        kill_at(manager, OPENED)
        writes_there(writer, cluster[2])
        if second == "dark":
            cluster[2].power_off()
        else:
            cluster[2].signal_mysqld(signal.SIGKILL)
        if left == "disk":
            forget_files(manager.workdir)
        # Of a dark second one the journal says that the third's host had reached it: so its silence there counts.
        done = cluster.command("masterha_manager", f"--conf={conf}", timeout=120.0)
        told = done.output + manager.log()
        assert writable(cluster[3]), told
        writes_there(writer, cluster[3])
        acks = writer.stop()
        mine = [ack for ack in acks if second == "readable" or ack.host != cluster[2].ip]
        assert lost_on(mine, cluster[3]) == 0, told
        if second == "readable":
            assert done.code in (0, 10), told
        else:
            assert done.code == 10, told
            missing = [line for line in ledgers(manager.workdir) if line["fate"] in ("lost", "unknown")]
            assert any(cluster[2].ip in line["source"] for line in missing), told


@pytest.mark.parametrize(("kind", "gtid"), modes("mariadb-gtid"))
def test_the_chosen_dies_as_it_is_opened_and_had_received_what_only_a_dark_host_had(kind: str, gtid: bool) -> None:
    """What it executed of the first one's log stands in its own, and in its relay logs: its host still gives them."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        writer = Writer(cluster)
        rows_on(cluster, writer, 2)
        acks = writer.stop()
        wait_until(lambda: lost_on(acks, cluster[2]) == 0, "db2 has them")
        assert lost_on(acks, cluster[3]) > 0
        cluster[1].power_off()
        wait_until(lambda: HELD in journals(manager.workdir), "db2 is about to be opened", 40.0)
        cluster[2].signal_mysqld(signal.SIGKILL)
        code = manager.wait(120.0)
        told = manager.log()
        assert code in (0, 10), told
        assert writable(cluster[3]), told
        assert lost_on(acks, cluster[3]) == 0, told


@pytest.mark.slow
@pytest.mark.parametrize("how", ["resume", "by-hand", "by-hand-of-the-first"])
@pytest.mark.parametrize(("kind", "gtid"), [pytest.param("mysql97", False), pytest.param("mariadb", True)])
def test_a_person_goes_on_when_manager_and_new_primary_died(kind: str, gtid: bool, how: str) -> None:
    """Resumed, or begun anew, of whichever dead primary: it is the second one that is failed over, with both logs."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        manager = cluster.start_manager(conf)
        writer = Writer(cluster, seconds=200.0)
        rows_on(cluster, writer, 0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        kill_at(manager, OPENED)
        writes_there(writer, cluster[2])
        cluster[2].signal_mysqld(signal.SIGKILL)
        acks = writer.stop()
        dead = cluster[1 if how == "by-hand-of-the-first" else 2]
        words = ("--master_state=dead", f"--conf={conf}", "--interactive=0", f"--dead_master_host={dead.ip}")
        if how == "resume":
            done = cluster.command("mha", "failover", "--resume", f"--conf={conf}", timeout=120.0)
        else:
            done = cluster.command("masterha_master_switch", *words, timeout=120.0)
        told = done.output + manager.log()
        assert done.code in (0, 10), told
        assert writable(cluster[3]), told
        assert lost_on(acks, cluster[3]) == 0, told


# a dead replica's disk ---------------------------------------------------------------------------------------------


def lock_the_table(host: Host) -> Any:
    """Its applier waits until the session that is returned ends."""
    session = host.connect()
    with session.cursor() as cursor:
        cursor.execute("LOCK TABLES app.rows_written READ")
    return session


def only_second_has_the_last(cluster: Cluster, *, also_dies: bool = False, **cnf: Any) -> tuple[Manager, list[Ack]]:
    """db2 received rows that no other replica has and executed none of them; the primary's host is gone.

    ``also_dies``: so is its mysqld. The failover waits for it, so that what dies then dies in the middle.
    """
    default = f"{cnf.pop('default', '')}\n{PATIENT}"
    manager = cluster.start_manager(cluster.write_cnf(default=default, **cnf))
    writer = Writer(cluster)
    wait_until(lambda: len(writer.acks()) > 20, "the application writes")
    cluster[2].keep = lock_the_table(cluster[2])  # type: ignore[attr-defined]
    rows_on(cluster, writer, 2)
    acks = writer.stop()
    wait_until(lambda: has_received_all(cluster), "db2 received all")
    cluster[1].power_off()
    if also_dies:
        cluster[2].signal_mysqld(signal.SIGKILL)
    return manager, acks


def has_received_all(cluster: Cluster) -> bool:
    status = cluster[1].sql("SHOW BINARY LOG STATUS" if cluster.kind.modern else "SHOW MASTER STATUS")[0]
    replica = cluster[2].replica_status()
    return (replica["Source_Log_File"], replica["Read_Source_Log_Pos"]) == (status["File"], status["Position"])


@pytest.mark.parametrize("disk", ["readable", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("kind", "gtid"), modes("9.7-position", "mariadb-gtid"))
def test_the_chosen_one_dies_while_it_executes_what_it_alone_received(kind: str, gtid: bool, disk: str) -> None:
    """Its disk gives it to the next one; where that is dark, too, so many are told as lost."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager, acks = only_second_has_the_last(cluster, candidate=2)
        wait_until(lambda: EXECUTES in journals(manager.workdir), "db2 is drained", 60.0)
        if disk == "readable":
            cluster[2].signal_mysqld(signal.SIGKILL)
        else:
            cluster[2].power_off()
        code = manager.wait(120.0)
        told = manager.log()
        assert code == 10, told
        assert writable(cluster[3]), told
        if disk == "readable":
            assert lost_on(acks, cluster[3]) == 0, told
            (line,) = [line for line in ledgers(manager.workdir) if line["fate"] == "rescued"]
            assert cluster[2].ip in line["source"], told
        else:
            lost = [line for line in ledgers(manager.workdir) if line["fate"] == "lost"]
            assert any(cluster[2].ip in line["why"] for line in lost), (told, ledgers(manager.workdir))
            assert "transactions may be missing" in told


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_strict_does_not_open_one_that_lacks_what_a_dead_replica_had_received(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        manager, _ = only_second_has_the_last(cluster, candidate=2, default="salvage_policy=strict")
        wait_until(lambda: EXECUTES in journals(manager.workdir), "db2 is drained", 60.0)
        cluster[2].power_off()
        assert manager.wait(120.0) == 1, manager.log()
        assert "salvage_policy is strict" in manager.log()
        assert not writable(cluster[3])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_the_donor_dies_while_the_chosen_one_fetches_from_it(kind: str, gtid: bool) -> None:
    """With GTIDs in the middle of its replication, without them while it is brought to lend its relay logs."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager, acks = only_second_has_the_last(cluster, candidate=3)
        words = CATCHES_UP if gtid else EXECUTES
        wait_until(lambda: words in journals(manager.workdir), "the donor is at it", 60.0)
        if gtid:
            cluster[3].blackhole(cluster[2].ip)
            cluster[2].keep.close()  # type: ignore[attr-defined]
            wait_until(lambda: cluster[3].replica_status()["Source_Host"] == cluster[2].ip, "db3 fetches", 60.0)
        cluster[2].signal_mysqld(signal.SIGKILL)
        code = manager.wait(120.0)
        told = manager.log()
        assert code == 10, told
        assert writable(cluster[3]), told
        assert lost_on(acks, cluster[3]) == 0, told


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_two_of_three_replicas_die_one_after_the_other(kind: str, gtid: bool) -> None:
    """The furthest is tried first, then the second; the third has all that either disk holds."""
    with Cluster(kind, gtid=gtid, n=4) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default=PATIENT))
        writer = Writer(cluster)
        wait_until(lambda: len(writer.acks()) > 20, "the application writes")
        cluster.stop_receiver(cluster[4])
        sessions = [lock_the_table(cluster[n]) for n in (2, 3)]
        before = len(writer.acks())
        wait_until(lambda: len(writer.acks()) > before + 40, "db2 and db3 receive")
        cluster.stop_receiver(cluster[3])
        wait_until(lambda: len(writer.acks()) > before + 80, "db2 receives alone")
        acks = writer.stop()
        wait_until(lambda: has_received_all(cluster), "db2 received all")
        cluster[1].power_off()
        for number in (2, 3):
            wait_until(lambda n=number: journals(manager.workdir).count(EXECUTES) >= n - 1, "it is drained", 60.0)  # type: ignore[misc]
            cluster[number].signal_mysqld(signal.SIGKILL)
        code = manager.wait(120.0)
        told = manager.log()
        assert code == 10, told
        assert writable(cluster[4]), told
        assert lost_on(acks, cluster[4]) == 0, told
        del sessions


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_the_replica_that_received_the_most_dies_at_the_same_moment(kind: str, gtid: bool) -> None:
    """It is down when the failover looks for the first time: the watch remembers it, and its disk is asked."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager, acks = only_second_has_the_last(cluster, candidate=2, also_dies=True)
        code = manager.wait(120.0)
        told = manager.log()
        assert code == 10, told
        assert writable(cluster[3]), told
        assert lost_on(acks, cluster[3]) == 0, told


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_the_chosen_one_goes_dark_right_before_it_is_opened(kind: str, gtid: bool) -> None:
    """Nobody was opened yet, so the next best is, and soon; what the first one's disk holds is saved once more."""
    with Cluster(kind, gtid=gtid) as cluster, paused(cluster, "Hold the old primary", "began") as manager:
        writer = Writer(cluster)
        rows_on(cluster, writer, 2)
        acks = writer.stop()
        cluster[1].signal_mysqld(signal.SIGKILL)
        manager.reached()
        cluster[2].power_off()
        began = time.monotonic()
        code = manager.go()
        assert code == 10, manager.log()
        assert writable(cluster[3]), manager.log()
        assert lost_on(acks, cluster[3]) == 0, manager.log()
        assert time.monotonic() - began < 60.0, manager.log()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "gtid"),
    [
        *modes(),
        *(
            pytest.param(kind, gtid, id=f"{kind.removeprefix('mariadb')}-{'gtid' if gtid else 'position'}")
            for kind in ("mariadb105", "mariadb118")
            for gtid in (True, False)
        ),
    ],
)
def test_a_new_primary_that_goes_dark_is_replaced_within_seconds(kind: str, gtid: bool) -> None:
    """A replica that was just pointed at it connects, or waits for its words: nobody waits until it gives up."""
    with Cluster(kind, gtid=gtid) as cluster, paused(cluster, "Point a replica at the new primary", "done") as manager:
        cluster[1].power_off()
        manager.reached()
        cluster[2].power_off()
        struck = time.time()
        code = manager.go()
        told = manager.log()
        assert code in (0, 10), told
        assert writable(cluster[3]), told
        opened = [
            entry.at
            for path in manager.workdir.glob("*.failover-*.journal")
            for entry in read_journal(path)
            if (entry.step, entry.event) == ("Open the new primary for writes", "done")
        ]
        assert max(opened) - struck < 35.0, told
