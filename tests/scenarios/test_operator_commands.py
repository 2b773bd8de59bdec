"""What an operator asks: who follows whom, is the primary dead, and from where; the answers are true."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import Cluster, Done
from tests.lab.kinds import ADMIN
from tests.lab.waiting import until
from tests.scenarios.failing_over import kinds
from tests.scenarios.process_list import watched

KINDS = kinds("5.6-position", "9.7-gtid", "mariadb-gtid")


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_the_cluster_as_it_is_and_a_primary_that_dies(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        first, second, third = cluster.hosts
        conf = cluster.write_cnf()
        seen = topology(cluster, conf)
        assert (seen["primary"], seen["down"], seen["trouble"]) == (f"{first.ip}:3306", {}, None)
        assert [row["role"] for row in seen["servers"]] == ["primary", "replica", "replica"]
        assert [row["read_only"] for row in seen["servers"]] == [False, True, True]
        assert {row["source"] for row in seen["servers"][1:]} == {f"{first.ip}:3306"}
        text = cluster.command("mha", "topology", f"--conf={conf}")
        name = "{0}({0}:3306)".format
        picture = [f"{name(first.ip)} (current master)", f" +--{name(second.ip)}", f" +--{name(third.ip)}"]
        assert (text.code, text.output.splitlines()) == (0, [*picture, "managers: nobody watches"]), text

        # A stopped applier is told in every form; a replica of a replica has its place.
        second.sql(f"STOP {cluster.kind.word('REPLICA', 'SLAVE')} SQL_THREAD")
        text = cluster.command("mha", "topology", f"--conf={conf}")
        assert f"{name(second.ip)}: its applier has stopped" in text.output
        assert topology(cluster, conf)["servers"][1]["troubles"] == ["its applier has stopped"]
        table = cluster.command("mha", "topology", f"--conf={conf}", "--output=table", env={"COLUMNS": "140"})
        assert "Yes/No" in table.output, table
        second.sql(f"START {cluster.kind.word('REPLICA', 'SLAVE')} SQL_THREAD")

        # The manager's monitoring half: it watches, says that the primary is dead, and touches nothing.
        monitor = cluster.run_there(
            sys.executable, "-m", "prefect_mha.commands.masterha_master_monitor", f"--conf={conf}", "--skip_check_ssh"
        )
        log = conf.with_suffix("") / "manager.log"
        until(lambda: log.exists() and "waiting until MySQL doesn't respond" in log.read_text())
        status = cluster.command("mha", "status", f"--conf={conf}", "--output=json")
        assert status.code == 0, status
        assert (json.loads(status.output)["status"], json.loads(status.output)["primary"]) == ("PING_OK", first.ip)
        busy = cluster.command("masterha_master_monitor", f"--conf={conf}")
        assert busy.code == 1, busy
        first.signal_mysqld(signal.SIGKILL)
        output, _ = monitor.communicate(timeout=30)
        assert monitor.returncode == 20, output
        lines = [
            f"Master {first.ip} is dead!",
            f"IP Address: {first.ip}",
            "Port: 3306",
            f"SSH to {first.ip} is reachable.",
        ]
        assert output.splitlines() == lines
        assert "Got exit code 20 (Master dead)." in log.read_text()
        for replica in (second, third):
            assert replica.replica_status()["Source_Host"] == first.ip
            assert int(replica.sql("SELECT @@global.read_only AS r")[0]["r"]) == 1
        assert not list(conf.with_suffix("").glob("*.failover*"))
        stopped = cluster.command("masterha_check_status", f"--conf={conf}", "--output=json")
        assert (stopped.code, json.loads(stopped.output)["status"]) == (2, "NOT_RUNNING")

        dead = cluster.command("mha", "topology", f"--conf={conf}")
        assert dead.code == 1
        assert dead.output.splitlines()[0] == f"{name(first.ip)} (dead master)"
        assert "error 2003" in dead.output


def test_a_monitor_that_is_stopped_or_cannot_start() -> None:
    with Cluster("mariadb", gtid=True, n=2) as cluster:
        conf = cluster.write_cnf()
        words = [
            sys.executable,
            "-m",
            "prefect_mha.commands.masterha_master_monitor",
            f"--conf={conf}",
            "--interactive=1",
        ]
        out = cluster.seat / "monitor.out"
        with out.open("wb") as file:
            monitor = cluster.run_there(*words, out=file)
        until(lambda: "waiting until MySQL doesn't respond" in out.read_text())
        monitor.send_signal(signal.SIGTERM)
        assert monitor.wait(10) == 0
        text = conf.read_text()
        conf.write_text(text[: text.index("[server2]")])
        done = cluster.command("masterha_master_monitor", f"--conf={conf}")
        assert done.code == 1
        assert "no reachable server replicates" in (conf.with_suffix("") / "manager.log").read_text()


def test_other_routes_to_the_primary() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        first, second, third = cluster.hosts

        def asked(*hosts: str, seconds: str = "1") -> Done:
            routes = [word for host in hosts for word in ("-s", host)]
            known = [
                f"--options=-o UserKnownHostsFile={cluster.seat}/.ssh/known_hosts -i {cluster.seat}/.ssh/id_ed25519"
            ]
            master = ["--user=root", f"--master_host={first.ip}", f"--master_ip={first.ip}", "--master_port=3306"]
            rest = ["--master_user=x", "--ping_type=SELECT", f"--timeout={seconds}"]
            return cluster.command("masterha_secondary_check", *routes, *known, *master, *rest)

        done = asked(second.ip, third.ip)
        assert (done.code, done.output.splitlines()) == (
            3,
            [f"Master is reachable from {h.ip}!" for h in (second, third)],
        )
        # A frozen server has its connections taken by the kernel, and greets nobody.
        first.signal_mysqld(signal.SIGSTOP)
        silent = "Monitoring server {0} is reachable, Master is not reachable from {0}. OK.".format
        began = time.monotonic()
        done = asked(second.ip, third.ip)
        assert (done.code, done.output.splitlines()) == (0, [silent(second.ip), silent(third.ip)])
        assert time.monotonic() - began < 10
        first.signal_mysqld(signal.SIGCONT)
        # Only one of them is cut off from it: the other's word counts.
        second.blackhole(first.ip)
        assert asked(second.ip, third.ip).code == 3
        first.power_off()
        assert asked(second.ip, third.ip).code == 0
        # A monitoring host that is down forbids nothing while most of them can be asked.
        assert asked(second.ip, first.ip).code == 0, "the dead host's own silence is none of theirs"
        assert asked(first.ip).code == 2
        third.power_off()
        done = asked(second.ip, third.ip)
        assert done.code == 2
        assert f"Monitoring server {third.ip} is NOT reachable!" in done.output
        assert asked(second.ip, second.ip, third.ip).code == 2, "one host named twice is one host"
        assert asked(second.ip).code == 0
        assert asked("no-such-host.invalid").code == 2
        assert asked(second.ip, seconds="x").code == 2


def test_an_old_file_with_the_old_commands_line_fails_over() -> None:
    with Cluster("mysql97", gtid=True) as cluster:
        first, second, third = cluster.hosts
        programs = cluster.seat / "bin"
        programs.mkdir()
        command = programs / "masterha_secondary_check"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m prefect_mha.commands.masterha_secondary_check "$@"\n')
        command.chmod(0o755)
        script = f"secondary_check_script = masterha_secondary_check -s {second.ip} -s {third.ip}"
        conf = cluster.write_cnf(default=script)
        manager = cluster.start_manager(conf, env={"PATH": f"{programs}:{os.environ['PATH']}"})
        first.signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 0, manager.log()
        assert (
            f"Monitoring server {second.ip} is reachable, Master is not reachable from {second.ip}. OK."
            in manager.log()
        )
        assert third.replica_status()["Source_Host"] == second.ip


@pytest.mark.parametrize("there", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["found", "missing"])
def test_the_usual_secondary_check_under_crons_path_and_one_host_in_it_that_is_the_primarys(there: bool) -> None:
    """The manager is started by its absolute path; two servers, one of which can be asked, and the power goes.

    Where the script cannot be run at all it has no word: the manager's own observers decide.
    """
    with Cluster("mariadb", gtid=True, n=2) as cluster:
        first, second = cluster.hosts
        programs = cluster.seat / "bin"
        programs.mkdir()
        for name in ("masterha_manager", "masterha_secondary_check"):
            text = f"#!{sys.executable}\nimport sys\nfrom prefect_mha.commands.{name} import main\nsys.exit(main())\n"
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        name = "masterha_secondary_check" if there else "no-such-program"
        known = f"--options='-o UserKnownHostsFile={cluster.seat}/.ssh/known_hosts -i {cluster.seat}/.ssh/id_ed25519'"
        script = f"secondary_check_script = {name} -s {second.ip} -s {first.ip} {known}"
        conf = cluster.write_cnf(default=f"{script}\nstart_checks=warn")
        log = conf.with_suffix("") / "manager.log"
        log.parent.mkdir()
        with (cluster.seat / "out").open("wb") as out:
            words = (str(programs / "masterha_manager"), f"--conf={conf}")
            manager = cluster.run_there(*words, env={"PATH": "/usr/bin:/bin"}, out=out)
        until(lambda: log.exists() and "waiting until MySQL doesn't respond" in log.read_text())
        if there:
            env = {"PATH": "/usr/bin:/bin:/usr/sbin"}
            checked = cluster.command("masterha_check_repl", f"--conf={conf}", "--verbose", env=env)
            assert f"is the host of the primary {first.ip}" in checked.output, checked
        else:
            until(lambda: "no-such-program was not found in PATH" in log.read_text())
        first.power_off()
        assert manager.wait(60) == 0, log.read_text()
        if there:
            assert f"Monitoring server {first.ip} is not counted: it is the primary's own host" in log.read_text()
        else:
            assert "Nobody is asked by secondary_check_script, and it forbids nothing" in log.read_text()
        assert second.replica_status() == {}


def test_a_password_of_every_awkward_character_is_seen_nowhere() -> None:
    password = "\"'\\!=#&;` |*?$<>()[]{}"
    with Cluster("mariadb", gtid=True, n=2) as cluster:
        cluster[1].sql("ALTER USER %s@'%%' IDENTIFIED BY %s", (ADMIN, password))
        time.sleep(0.5)
        for host in cluster.hosts:
            host.password = password
        conf = cluster.write_cnf(password=password)
        toml = conf.with_suffix(".toml")
        with watched(password) as seen:
            asked = [
                cluster.command("mha", "topology", f"--conf={conf}"),
                cluster.command("mha", "topology", f"--conf={conf}", "--output=json"),
                cluster.command("mha", "config", "check", f"--conf={conf}"),
                cluster.command("mha", "config", "show", f"--conf={conf}"),
                cluster.command("mha", "config", f"--conf={conf}"),
                cluster.command("mha", "config", "convert", f"--conf={conf}", f"--out={toml}"),
                cluster.command("mha", "topology", f"--conf={toml}", "--output=table"),
                cluster.command("masterha_conf_host", "--command=add", f"--conf={conf}", "--hostname=db9", "--block=9"),
                cluster.command("masterha_conf_host", "--command=delete", f"--conf={conf}", "--block=9"),
                cluster.command("mha", "topology", f"--conf={conf}"),
            ]
            shown = cluster.command("mha", "config", "convert", f"--conf={conf}")
        assert [done.code for done in asked] == [0] * len(asked), asked
        assert shown.code == 2
        assert "it holds secrets, so it is not shown" in shown.output
        assert not seen, seen
        spellings = {password, json.dumps(password)[1:-1], password.replace("'", "''")}
        assert not [done for done in (*asked, shown) if any(each in done.output for each in spellings)]


def topology(cluster: Cluster, conf: Path) -> dict[str, Any]:
    done = cluster.command("mha", "topology", f"--conf={conf}", "--output=json")
    return dict(json.loads(done.output))
