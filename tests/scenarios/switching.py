"""What scenarios of a planned switch share: who follows whom, a hook that waits, and what may stand in the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.cluster import Cluster, Done
from tests.lab.host import Host
from tests.lab.waiting import until
from tests.lab.writer import Writer


def follows(replica: Host, primary: Host) -> None:
    """It replicates from that server, is read-only, and both threads run."""
    status = replica.replica_status()
    assert status["Source_Host"] == primary.ip, replica.name
    assert (status["Replica_IO_Running"], status["Replica_SQL_Running"]) == ("Yes", "Yes"), status
    assert closed(replica)


def closed(host: Host) -> bool:
    return str(host.sql("SELECT @@global.read_only AS r")[0]["r"]) in ("1", "ON")


def shape(cluster: Cluster) -> list[Any]:
    """What a switch that is taken back leaves as it was."""
    seen: list[Any] = []
    for host in cluster.hosts:
        status = host.replica_status()
        names = ("Source_Host", "Replica_IO_Running", "Replica_SQL_Running", "Auto_Position", "Using_Gtid", "SQL_Delay")
        wanted = "'read_only','super_read_only','event_scheduler','replica_checkpoint_period','slave_checkpoint_period'"
        rows = host.sql(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({wanted})")
        seen.append(({n: status.get(n) for n in names}, sorted((r["Variable_name"], r["Value"]) for r in rows)))
    return seen


# something breaks ------------------------------------------------------------------------------------------------


class Hook:
    """A `master_ip_online_change_script` that stops at one command until it is let go on, and ends as it is told."""

    def __init__(self, cluster: Cluster, command: str = "", code: int = 0) -> None:
        self.path = cluster.seat / f"hook-{time.monotonic_ns()}"
        self.args, self.there, self.go = (Path(f"{self.path}.{n}") for n in ("args", "there", "go"))
        wait = f"touch {self.there}; while [ ! -e {self.go} ]; do sleep 0.02; done; exit {code}"
        self.path.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$*" >>{self.args}\n'
            f'case "$1" in --command={command or "none"}) [ -e {self.there} ] || {{ {wait}; }};; esac\n'
        )
        self.path.chmod(0o755)

    @property
    def line(self) -> str:
        return f"master_ip_online_change_script={self.path}"

    def calls(self) -> list[str]:
        return [line.split()[0] for line in self.args.read_text().splitlines()]

    def wait(self, seconds: float = 120.0) -> None:
        until(self.there.exists, seconds=seconds)


def switching(
    cluster: Cluster, hook: Hook, inject: Callable[[], object], *options: str, name: str = "app1"
) -> tuple[Done, str]:
    """Switch from db1 to db2; when the hook is reached, inject, then let it go on. The end, and what was logged."""
    conf = cluster.write_cnf(name, default=hook.line)
    errors: list[BaseException] = []

    def body() -> None:
        try:
            hook.wait()
            inject()
        except BaseException as error:  # noqa: BLE001 - handed to the test below
            errors.append(error)
        finally:
            hook.go.touch()

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    done = cluster.command("masterha_master_switch", "--master_state=alive", f"--conf={conf}", "--interactive=0",
                           f"--new_master_host={cluster[2].ip}", "--orig_master_is_new_slave", *options)  # fmt: skip
    thread.join(10)
    if errors:
        raise errors[0]
    return done, done.output + (cluster.seat / name / "manager.log").read_text()


def word(cluster: Cluster) -> str:
    return cluster.kind.word("REPLICA", "SLAVE")


@contextmanager
def table_locked(host: Host) -> Iterator[Callable[[str], object]]:
    """Gives a session that can lock a table that nobody writes to; FLUSH TABLES WITH READ LOCK has to wait for that."""
    host.sql("CREATE TABLE IF NOT EXISTS app.other (id INT PRIMARY KEY)")
    session = host.connect()
    try:
        yield lambda sql: session.cursor().execute(sql)
    finally:
        session.close()


@contextmanager
def applier_held(host: Host) -> Iterator[None]:
    """The replica executes nothing more of what the application writes, although its applier runs."""
    session = host.connect()
    try:
        with session.cursor() as cursor:
            cursor.execute("LOCK TABLES app.rows_written READ")
        yield
    finally:
        session.close()


def one_more_row(writer: Writer) -> None:
    """Wait for one that was acknowledged from now on: a replica whose applier is held lacks it."""
    now = time.time()
    until(lambda: writer.acks()[-1].at > now, seconds=10)
