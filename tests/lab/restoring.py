"""A server that died is a replica again, and has everything: what the seeded runs do before the next step."""

from __future__ import annotations

from pathlib import Path

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.seeded import Spoiled, until


def release(cluster: Cluster, conf: Path, old: Host) -> None:
    """The manager of that configuration holds it no longer. Raises Spoiled."""
    said = cluster.command("mha", "release", f"--conf={conf}", f"--host={old.ip}")
    # Exit 1: on a host without power nothing can be taken away.
    if "is no longer held read-only" not in said.output:
        raise Spoiled(f"{old.name} is not released: {said}")


def comes_level(replica: Host, primary: Host) -> None:
    """Wait until it has executed all that the primary, to which nobody writes now, has. Raises Spoiled."""
    _durable(replica, False)
    # What its tables hold would tell nothing: on its way it holds those of earlier rounds.
    log = primary.sql(primary.kind.word("SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"))[0]
    end = log["File"], int(log["Position"])
    until(
        lambda: works(replica, primary) and _executed(replica) == end,
        f"{replica.name} does not come to the end {end} of {primary.name}'s log",
        seconds=120.0,
    )
    _durable(replica, True)


def works(host: Host, primary: Host) -> bool:
    """It is a read-only replica whose threads run."""
    status = host.replica_status()
    running = status.get("Replica_IO_Running"), status.get("Replica_SQL_Running")
    closed = int(host.sql("SELECT @@global.read_only AS r")[0]["r"])
    return status.get("Source_Host") == primary.ip and running == ("Yes", "Yes") and closed == 1


def _durable(host: Host, each: bool) -> None:
    """Whether each commit reaches the disk. The manager ends whoever is connected when it lets go of a server."""

    def done() -> bool:
        for variable in ("sync_binlog", "innodb_flush_log_at_trx_commit"):
            host.sql(f"SET GLOBAL {variable}={int(each)}")
        return True

    until(done, f"{host.name} takes no settings", seconds=20.0)


def _executed(host: Host) -> tuple[str, int]:
    status = host.replica_status()
    return status["Relay_Source_Log_File"], int(status["Exec_Source_Log_Pos"])
