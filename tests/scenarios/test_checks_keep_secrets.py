"""A password of every awkward character works in every check, and shows in no output, log, process list or artifact."""

from __future__ import annotations

import json
import re
import secrets
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster
from tests.lab.prefect_server import PrefectServer
from tests.scenarios.test_with_prefect import ask, wait_for_run

#: Its end is of chance: who runs other tests beside has another one. MySQL takes 32 characters for a channel.
PASSWORD = "\"'\\!=#&;` |*?$<>()[]{}" + secrets.token_hex(4)


class Watcher:
    """Reads the command line of every process of this machine, the lab's hosts included, until it is stopped."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._stop.is_set():
            for process in Path("/proc").iterdir():
                if process.name.isdigit():
                    try:
                        raw = (process / "cmdline").read_bytes() + b" " + (process / "environ").read_bytes()
                    except OSError:
                        continue
                    self.seen.add(raw.decode(errors="replace").replace("\0", " "))
            self._stop.wait(0.01)


def holds(text: str) -> list[str]:
    """The parts of the password that a text holds, also quoted for a shell, an option file, JSON or SQL."""
    forms = (PASSWORD, PASSWORD[3:], json.dumps(PASSWORD)[1:-1], PASSWORD.replace("\\", "\\\\").replace('"', '\\"'))
    return [form for form in forms if form in text]


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [
        pytest.param("mariadb", True, id="mariadb"),
        pytest.param("mysql97", True, id="9.7", marks=pytest.mark.slow),
        pytest.param("mysql56", False, id="5.6", marks=pytest.mark.slow),
    ],
)
def test_no_password_shows_anywhere(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE USER 'odd'@'%%' IDENTIFIED BY %s", (PASSWORD,))
        cluster[1].sql("GRANT ALL ON *.* TO 'odd'@'%'")
        cluster[1].sql("CREATE USER 'oddrepl'@'%%' IDENTIFIED BY %s", (PASSWORD,))
        cluster[1].sql("GRANT REPLICATION SLAVE ON *.* TO 'oddrepl'@'%'")
        script = cluster.seat / "hook"
        script.write_text('#!/bin/sh\nset -x\necho "$@"\n')
        script.chmod(0o755)
        default = f"user=odd\npassword='{PASSWORD}'\nrepl_user=oddrepl\nrepl_password='{PASSWORD}'\n"
        default += f"master_ip_failover_script={script}"
        conf = cluster.write_cnf("odd", default=default)
        time.sleep(1.0)
        with Watcher() as watcher:
            outputs = [
                cluster.command(name, f"--conf={conf}", *options)
                for name, *options in (
                    ["masterha_check_repl"],
                    ["masterha_check_repl", "--output=json"],
                    ["masterha_check_repl", "--output=table"],
                    ["masterha_check_ssh", "--output=json"],
                )
            ]
        # It was right, or nothing would be well: also the client's, which got it in an option file through stdin.
        assert [done.code for done in outputs] == [0, 0, 0, 0], outputs
        assert '"name": "client-connects"' in outputs[1].output
        assert [holds(done.output) for done in outputs] == [[], [], [], []]
        assert any("look.sh" in text or "--defaults-file=/proc/self/fd/0" in text for text in watcher.seen)
        assert [text for text in watcher.seen if holds(text)] == []
        wrong = cluster.write_cnf("wrong", default=default.replace("user=odd", "user=nobody"))
        done = cluster.command("masterha_check_repl", f"--conf={wrong}")
        assert done.code == 1
        assert "error 1045" in done.output
        assert holds(done.output) == []


def test_a_health_check_is_a_flow_run_with_a_table() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        cluster[1].sql("CREATE USER 'odd'@'%%' IDENTIFIED BY %s", (PASSWORD,))
        cluster[1].sql("GRANT ALL ON *.* TO 'odd'@'%'")
        conf = cluster.write_cnf("app1", default=f"user=odd\npassword='{PASSWORD}'")
        env = {"PREFECT_API_URL": server.api_url, "MHA_CONF_DIR": str(conf.parent)}

        def check() -> dict[str, object]:
            program = "from prefect_mha.flows.health_check import health_check; health_check('app1', return_state=True)"
            process = cluster.run_there(sys.executable, "-c", program, env=env)
            output, _ = process.communicate(timeout=90)
            assert process.returncode == 0, output
            assert holds(output) == []
            return wait_for_run(cluster, server.api_url)

        time.sleep(1.0)
        well = check()
        assert (well["name"], well["state_type"]) == ("health check app1", "COMPLETED"), well
        assert well["parameters"] == {"cluster": "app1", "seconds_behind": 30}
        cluster.stop_receiver(cluster[2])
        bad = check()
        assert (bad["state_name"], bad["id"] != well["id"]) == ("Failed", True)
        message = str(bad["state"]["message"])  # type: ignore[index]
        assert re.match(r"app1: 2 of \d+ checks failed; receiver-runs: ", message), message
        assert "IO_THREAD" in message
        tables = ask(
            cluster, server.api_url, "/artifacts/filter", {"artifacts": {"key": {"any_": ["health-check-app1"]}}}
        )
        assert len(tables) == 2
        (table,) = [json.loads(each["data"]) for each in tables if each["flow_run_id"] == bad["id"]]
        assert [row["name"] for row in table if not row["ok"] and row["severity"] == "error"] == [
            "receiver-runs",
            "lag",
        ]
        assert table[0]["ok"] is False
        logs = ask(cluster, server.api_url, "/logs/filter", {"logs": {"flow_run_id": {"any_": [bad["id"]]}}})
        assert any("receiver-runs" in line["message"] for line in logs)
        assert holds(json.dumps([well, bad, tables, logs], ensure_ascii=False)) == []
