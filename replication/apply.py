"""Apply a cut of a binary log on a server, through its own ``mysqlbinlog | mysql``, and verify by what it executed."""

from __future__ import annotations

import logging
import posixpath
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from config import ServerConfig
from replication.binlog.cutter import Cut
from replication.errors import CommandFailed, StatementFailed
from replication.gtid import GtidSet, MariadbGtidPosition
from replication.scripts import script
from replication.server import Server
from replication.snapshots import GtidKind, ServerState, Vendor
from replication.ssh import SshHost

log = logging.getLogger("mha")

#: Tells one account of one server from every other, whichever way they are reached.
_WHO = "SELECT CONCAT_WS(' ', CURRENT_USER(), @@hostname, @@port, @@server_id, @@datadir)"


@dataclass(frozen=True)
class Applied:
    """What an application did: transactions, bytes and seconds; ``already`` when all of it was there before."""

    transactions: int
    bytes: int
    seconds: float
    already: bool = False


def client_options(server: ServerConfig) -> str:
    """An option file for the mysql client: escaped as its parser unescapes (Reference Manual, Using Option Files)."""

    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'

    lines = [
        "[client]",
        f"host={quoted(server.ip)}",
        f"port={server.port}",
        "protocol=tcp",
        f"user={quoted(server.user)}",
        f"password={quoted(server.password.get_secret_value())}",
        "connect-timeout=10",
        "loose-get-server-public-key",
        "[mysql]",
        "max-allowed-packet=1G",
    ]
    return "\n".join(lines) + "\n"


def is_applied(state: ServerState, cut: Cut) -> bool:
    """Whether everything in the cut is executed already; only GTIDs can tell."""
    if not cut.transactions:
        return True
    if isinstance(cut.gtids, GtidSet) and cut.gtids and state.gtid_executed is not None:
        return cut.gtids <= state.gtid_executed
    if isinstance(cut.gtids, MariadbGtidPosition) and cut.gtids and state.mariadb_gtid is not None:
        return cut.gtids <= state.mariadb_gtid
    return False


def wait_for_former(host: SshHost, server: ServerConfig, *, timeout: float = 3600.0) -> None:
    """Wait until no application that a dead manager left behind still runs on the host."""
    lock = shlex.quote(posixpath.join(server.remote_workdir, "mha-apply.lock"))
    command = f"command -v flock >/dev/null && [ -e {lock} ] || exit 0; flock -w {timeout:g} {lock} true"
    host.run(command, action="wait for an application that is still running", timeout=timeout + 5.0)


def apply_cut(
    host: SshHost, server: Server, kind: GtidKind, path: Path, cut: Cut, *, timeout: float, seen: ServerState
) -> Applied:
    """Send the cut to the server's host and run it there.

    ``seen`` is the server's state just before. The session needs SUPER and a server that is not super_read_only.
    Raises CommandFailed with the client's last words; StatementFailed when everything ended well and yet the
    transactions are not there.
    """
    config = server.config
    if is_applied(seen, cut):
        return Applied(0, 0, 0.0, already=True)
    remote = posixpath.join(config.remote_workdir, path.name)
    host.mkdir(config.remote_workdir)
    began = time.monotonic()
    with path.open("rb") as data:
        digest = host.put(data, remote)
    if digest != cut.sha256:
        raise CommandFailed(host.name, "send the saved binary log", "the copy there differs from the one here")
    log.info("Sent %d bytes to %s in %.2f s.", path.stat().st_size, host.name, time.monotonic() - began)
    flags = "--disable-log-bin" if config.disable_log_bin else ""
    era = "old" if seen.vendor is Vendor.MYSQL and seen.version < (8, 0) else "new"
    bindir, libdir = config.client_bindir or "", config.client_libdir or ""
    (asked,) = server.query(f"{_WHO} AS who, @@socket AS socket", action="ask for its socket")
    how = (config.remote_workdir, remote, bindir, libdir, seen.vendor.value, era, flags)
    words = (*how, str(asked["socket"] or ""), _WHO, str(asked["who"]))
    try:
        result = host.run(
            f"sh -c {shlex.quote(script('apply.sh'))} apply {' '.join(shlex.quote(w) for w in words)}",
            action="apply the saved binary log",
            timeout=timeout,
            stdin=client_options(config).encode(),
        )
    finally:
        host.remove(remote)
    log.info("Applied %d transactions on %s in %.2f s.", cut.transactions, server, result.seconds)
    after = server.observe()
    if (kind is not GtidKind.POSITION) and not is_applied(after, cut):
        raise StatementFailed(config.name, "apply the saved binary log", f"{cut.gtids} is not executed afterwards")
    if kind is GtidKind.POSITION and not config.disable_log_bin and after.end_of_log == seen.end_of_log:
        raise StatementFailed(config.name, "apply the saved binary log", "its own binary log did not grow")
    return Applied(cut.transactions, cut.bytes, result.seconds)
