"""Names that hosts are known by."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.cluster import Cluster


@contextmanager
def manager_knows(cluster: Cluster, lines: str = "") -> Iterator[Path]:
    """Names that the manager's host, and it alone, has in /etc/hosts: a file to be written in place.

    Without ``lines`` they are db1, db2 … of the cluster's hosts.
    """
    folder = Path("/etc/netns") / cluster.subnet.manager
    folder.mkdir(parents=True)
    try:
        file = folder / "hosts"
        known = lines or "\n".join(f"{host.ip} {host.name}" for host in cluster.hosts)
        file.write_text(f"127.0.0.1 localhost\n{known}\n")
        yield file
    finally:
        shutil.rmtree(folder)
