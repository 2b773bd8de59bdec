"""A drill of each kind ends as it began, and its scorecard says what an application saw; the gates hold."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab.checker import account
from tests.lab.cluster import Cluster, Done
from tests.lab.writer import Writer
from tests.scenarios.failing_over import kinds
from tests.scenarios.test_rows_get_in import caught_up, with_probe
from tests.scenarios.watching import Monitor

pytestmark = pytest.mark.slow
KINDS = kinds("mariadb-gtid", "9.7-gtid", "mariadb-position", "9.7-position")
ALLOWED = "drill_allowed=switch, kill, freeze, power, ssh-loss\ndrill_pause=0\nrto_target=20\n"


class Practised:
    """A cluster whose file allows drills, and whose hosts let their servers start read-only."""

    def __init__(self, cluster: Cluster, default: str = ALLOWED) -> None:
        self.cluster, self.old = cluster, cluster[1]
        for host in cluster.hosts:
            # As distributions have it: a directory of option files.
            host.run("mkdir -p /etc/mysql/conf.d && printf '\\n!includedir /etc/mysql/conf.d/\\n' >>/etc/my.cnf")
        self.conf = cluster.write_cnf(candidate=2, default=f"{with_probe(cluster)}{default}")
        caught_up(cluster)

    def drill(self, kind: str, *options: str) -> Done:
        words = ("drill", f"--conf={self.conf}", f"--kind={kind}", *options)
        return self.cluster.command("mha", *words, timeout=240.0)

    def card(self, kind: str) -> dict[str, Any]:
        """The document of one that is held; printed, for whoever wants figures."""
        done = self.drill(kind, "--yes", "--output=json")
        at = done.output.find('{\n  "format": "mha-drill/1"')
        assert at >= 0, done.output
        told: dict[str, Any] = json.JSONDecoder().raw_decode(done.output[at:])[0]
        assert told["exit_code"] == done.code
        assert told["scorecard"], done.output
        print(self.cluster.name, told["summary"], told["scorecard"]["parts"], told["scorecard"]["total"], done.output)
        return told

    def is_as_before(self) -> None:
        """db1 is the primary, the others are its replicas, nothing of the drill is left on any server."""
        ends = time.monotonic() + 20
        for host in self.cluster.hosts:
            while host.sql("SHOW TABLES FROM infra LIKE 'mha_drill'"):
                assert time.monotonic() < ends
                time.sleep(0.1)
            if host is not self.old:
                status = host.replica_status()
                assert status["Source_Host"] == self.old.ip
                assert (status["Replica_IO_Running"], status["Replica_SQL_Running"]) == ("Yes", "Yes")
        assert not int(self.old.sql("SELECT @@global.read_only AS r")[0]["r"])
        assert self.old.replica_status() == {}

    def watch(self) -> Monitor:
        return Monitor(self.cluster, self.conf)


@contextmanager
def practised(kind: str, gtid: bool, default: str = ALLOWED) -> Iterator[Practised]:
    with Cluster(kind, gtid=gtid) as cluster:
        yield Practised(cluster, default)


@contextmanager
def watched(scene: Practised) -> Iterator[Monitor]:
    monitor = scene.watch()
    try:
        yield monitor
    finally:
        monitor.stop()


def passes(scene: Practised, kind: str) -> dict[str, Any]:
    told = scene.card(kind)
    assert told["exit_code"] == 0, told
    card: dict[str, Any] = told["scorecard"]
    assert card["passed"]
    assert card["lost"] == 0
    scene.is_as_before()
    return card


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_switch_three_times(kind: str, gtid: bool) -> None:
    with practised(kind, gtid) as scene:
        for _ in range(3):
            assert passes(scene, "switch")["out"] < 2.0


@pytest.mark.parametrize("fault", ["kill", "freeze"])
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_the_manager_replaces_the_primary_and_all_is_as_before_three_times(kind: str, gtid: bool, fault: str) -> None:
    with practised(kind, gtid) as scene, watched(scene):
        writer = Writer(scene.cluster)
        before = 0.0
        for _ in range(3):
            card = passes(scene, fault)
            assert card["failed_over"]
            assert bool(card["before"]) == bool(before)
            before = card["out"]
        result = account(writer.stop(), scene.cluster.hosts)
        assert (result.rows_lost, result.equal) == (0, True), result


@contextmanager
def switched_by_a_command(scene: Practised) -> Iterator[None]:
    """drill_power_command leaves a word, and waits until it is done to db1's host."""
    word, command = scene.cluster.seat / "power", scene.cluster.seat / "power.sh"
    command.write_text(
        f'#!/bin/sh\necho "$1" >{word}.new && mv {word}.new {word} && while [ -e {word} ]; do sleep 0.1; done\n'
    )
    command.chmod(0o755)
    over = threading.Event()

    def obey() -> None:
        while not over.wait(0.05):
            if word.exists():
                if word.read_text().strip() == "--command=off":
                    scene.old.power_off()
                else:
                    scene.old.power_on()
                word.unlink()

    thread = threading.Thread(target=obey)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_host_that_is_switched_off_comes_back_three_times(kind: str, gtid: bool) -> None:
    with practised(kind, gtid) as scene:
        text = scene.conf.read_text()
        scene.conf.write_text(text.replace("drill_pause=0\n", f"drill_pause=0\n{power_of(scene)}"))
        with switched_by_a_command(scene), watched(scene):
            for _ in range(3):
                assert passes(scene, "power")["failed_over"]


def power_of(scene: Practised) -> str:
    return f"drill_power_command={scene.cluster.seat / 'power.sh'}\n"


@pytest.mark.parametrize(("kind", "gtid"), KINDS[:2])
def test_ssh_is_lost_three_times_and_nobody_is_failed_over(kind: str, gtid: bool) -> None:
    with practised(kind, gtid) as scene, watched(scene):
        for _ in range(3):
            card = passes(scene, "ssh-loss")
            assert not card["failed_over"]
            assert card["out"] < 1.0
            assert "blackhole" not in scene.old.run("ip rule")


@pytest.mark.parametrize(("kind", "gtid"), KINDS[:2])
def test_each_gate_refuses_and_changes_nothing(kind: str, gtid: bool) -> None:
    with practised(kind, gtid) as scene:
        text = scene.conf.read_text()

        def refused(drill: str, code: str, *changes: tuple[str, str]) -> None:
            new = text
            for old, instead in changes:
                assert old in new
                new = new.replace(old, instead)
            scene.conf.write_text(new)
            done = scene.drill(drill, "--yes", "--output=json")
            assert done.code == 1, done
            # As the first reason, or among the others.
            assert f'"{code}"' in done.output or f'"{code}: ' in done.output, done
            assert not list(scene.conf.with_suffix("").glob("*.acks.jsonl")), done

        refused("kill", "not-allowed", ("switch, kill", "switch"))
        refused("kill", "no-manager")
        refused("switch", "outside-window", ("drill_pause=0", f"drill_window={an_hour_that_is_not_now()}"))
        refused("power", "no-power-command")
        refused("switch", "no-probe-user", ("probe_user=", "#probe_user="))
        word = scene.cluster.kind.word("REPLICA", "SLAVE")
        scene.cluster[3].sql(f"STOP {word}")
        refused("switch", "checks-failed")
        scene.cluster[3].sql(f"START {word}")
        scene.cluster[3].sql("SET GLOBAL read_only=0")
        refused("switch", "open-replicas")
        scene.cluster[3].sql("SET GLOBAL read_only=1")
        marks = scene.conf.with_suffix("") / "app1.failover.complete"
        marks.touch()
        refused("switch", "too-soon", ("drill_pause=0", "drill_pause=1"))
        marks.unlink()
        # An account that read_only does not hold.
        done = scene.drill("switch", "--yes")
        assert done.code == 0, done
        scene.old.sql("GRANT ALL ON *.* TO 'probe'@'%'")
        done = scene.drill("switch", "--yes")
        assert done.code == 1, done
        assert "may write while read_only is set" in done.output, done


def an_hour_that_is_not_now() -> str:
    hour = (time.localtime().tm_hour + 2) % 24
    return f"{hour}:00-{hour}:01"


@pytest.mark.parametrize(("kind", "gtid"), KINDS[:2])
def test_a_target_that_is_missed_ends_it_as_failed(kind: str, gtid: bool) -> None:
    with practised(kind, gtid, ALLOWED.replace("rto_target=20", "rto_target=0.05")) as scene, watched(scene):
        told = scene.card("kill")
        assert told["exit_code"] == 1
        missed = [target["name"] for target in told["scorecard"]["targets"] if not target["met"]]
        assert missed == ["writes out"]
        scene.is_as_before()
        done = scene.cluster.command("mha", "history", f"--conf={scene.conf}", "--kind=drill")
        assert "drill" in done.output
        assert "not done" in done.output, done


@pytest.mark.parametrize(("kind", "gtid"), KINDS[:2])
def test_killed_in_the_middle_the_next_one_and_the_manager_say_what_stands_open(kind: str, gtid: bool) -> None:
    with practised(kind, gtid) as scene, watched(scene) as monitor:
        workdir = scene.conf.with_suffix("")
        words = ("-m", "prefect_mha.commands.mha", "drill", f"--conf={scene.conf}", "--kind=kill", "--yes")
        process = scene.cluster.run_there(sys.executable, *words)
        ends = time.monotonic() + 60
        while '"step": "hurt", "event": "done"' not in "".join(
            p.read_text() for p in workdir.glob("app1.drill-*.journal")
        ):
            assert time.monotonic() < ends
            time.sleep(0.01)
        process.kill()
        process.wait(10)
        monitor.wait_for("was cut short", seconds=60.0)
        refused = scene.drill("switch", "--yes")
        assert refused.code == 1, refused
        assert "was cut short in the step" in refused.output, refused
        back = scene.cluster.command("mha", "rejoin", f"--conf={scene.conf}", f"--host={scene.old.ip}", "--yes")
        assert back.code == 0, back
        home = ("switchover", f"--conf={scene.conf}", f"--to={scene.old.ip}", "--keep-old-as-replica", "--yes")
        assert scene.cluster.command("mha", *home).code == 0
        done = scene.drill("switch", "--yes")
        assert done.code == 0, done
        assert "0 of its" in done.output, done
        scene.is_as_before()
        assert "was cut short" not in scene.drill("switch", "--dry-run").output


@pytest.mark.parametrize(("kind", "gtid"), KINDS[:2])
def test_nobody_replaces_the_primary_and_it_is_started_again(kind: str, gtid: bool) -> None:
    """The manager is gone at the moment it matters."""
    with practised(kind, gtid) as scene, watched(scene) as monitor:
        # It stands still, and its lock and its file say that it watches.
        monitor.process.send_signal(signal.SIGSTOP)
        told = scene.card("kill")
        monitor.process.send_signal(signal.SIGCONT)
        assert told["exit_code"] == 1
        assert any("was started again" in note for note in told["scorecard"]["notes"]), told
        scene.is_as_before()
