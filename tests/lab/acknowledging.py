"""Semi-synchronous replication in the lab: who waits as a source, and who acknowledges."""

from __future__ import annotations

from tests.lab.cluster import Cluster
from tests.lab.copying import Copier
from tests.lab.host import Host

#: The plugins of MySQL; they are built into MariaDB, and the lab's 5.6 has none.
MODERN = "plugin-load-add=semisync_source.so\nplugin-load-add=semisync_replica.so\n"


def plugins(kind: str) -> str:
    """What goes into every my.cnf, so that both roles are known."""
    return MODERN if kind == "mysql97" else ""


def setting(host: Host, name: str, value: object) -> None:
    """How it waits as a source."""
    host.sql(f"SET GLOBAL rpl_semi_sync_{_source(host)}_{name}={value!r}")


def demand(host: Host, milliseconds: int = 3_600_000) -> None:
    """No commit is acknowledged before somebody else has it, however long that takes."""
    setting(host, "timeout", milliseconds)
    setting(host, "wait_point", "AFTER_SYNC")
    setting(host, "enabled", 1)


def clients(host: Host) -> int:
    """How many acknowledge."""
    return int(host.sql(f"SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_{_source(host)}_clients'")[0]["Value"])


def waits(host: Host) -> dict[str, str]:
    """How it waits as a source."""
    start = f"rpl_semi_sync_{_source(host)}_"
    rows = host.sql(f"SHOW GLOBAL VARIABLES LIKE '{start}%'")
    found = {row["Variable_name"].removeprefix(start): row["Value"] for row in rows}
    return {name: found[name] for name in ("enabled", "timeout", "wait_point")}


def acknowledged(copier: Copier, host: Host) -> None:
    """Wait until the binlog server is the one that acknowledges."""
    copier.wait(lambda: copier.acknowledges and clients(host) == 1, "it acknowledges", 40.0)


def only_a_disk(cluster: Cluster, host: Host) -> None:
    """Its server is gone, and nobody's session with the primary reminds of it."""
    host.stop_mysqld()
    for row in cluster[1].sql("SHOW PROCESSLIST"):
        if row["Command"].startswith("Binlog Dump") and row["Host"].startswith(f"{host.ip}:"):
            cluster[1].sql(f"KILL {row['Id']}")


def _source(host: Host) -> str:
    return host.kind.word("source", "master")
