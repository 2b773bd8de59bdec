"""Apply a cut of row events on a server, through its own ``mysqlbinlog | mysql``, and verify by what it executed."""

from __future__ import annotations

import logging
import posixpath
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from ...config import ServerConfig
from ..binlog.cutter import Cut
from ..errors import CommandFailed, StatementFailed
from ..model.state import GtidKind, ServerState, Vendor
from ..mysql.dialects.session import CLIENT
from ..mysql.option_file import quoted
from ..mysql.server import Server
from ..scripts import script
from ..ssh.host import SshHost

log = logging.getLogger("mha")

#: From so many transactions on it is worth finding out whether the client may use the server's socket.
NEAR_FROM = 500
NATIVE = "mysql_native_password"
#: Tells one server, and one account of it, from every other, whichever way they are reached.
_WHO = "SELECT CONCAT_WS(' ', @@hostname, @@port, @@server_id, @@datadir) AS who, CURRENT_USER() AS account"


@dataclass(frozen=True)
class Applied:
    """What an application did: transactions, bytes and seconds; none where all of it was there before."""

    transactions: int
    bytes: int
    seconds: float


def tls_options(server: ServerConfig) -> list[str]:
    """How the client programs use TLS: nobody is asked for a key, which would be that of whoever answers.

    The files of a verified mode are the manager's; a client on another host has none, and talks to its own host alone.
    MariaDB's client knows no modes.
    """
    if server.tls_mode == "disabled":
        return ["loose-ssl-mode=DISABLED"]
    return [] if server.tls_mode == "preferred" else ["loose-ssl-mode=REQUIRED", "loose-ssl"]


def client_options(server: ServerConfig, *, vendor: Vendor | None = None, plugin: str = "") -> str:
    """An option file for the mysql client: escaped as its parser unescapes (Reference Manual, Using Option Files).

    ``plugin`` is what the account logs in with. MariaDB's client has mysql_native_password built in, and loads whatever
    else a server asks for: with no directory to load from, it has nothing that tells the password.
    """
    lines = [
        "[client]",
        f"host={quoted(server.ip)}",
        f"port={server.port}",
        "protocol=tcp",
        f"user={quoted(server.user)}",
        f"password={quoted(server.password.get_secret_value())}",
        "loose-connect-timeout=10",
        *tls_options(server),
        *(["plugin-dir=/nonexistent"] if (vendor, plugin) == (Vendor.MARIADB, NATIVE) else []),
        "[mysql]",
        # As `session` sets it for sessions of ours: globals of the server must not cut the application short, and one
        # that was the primary may be closed to everybody who does not ask (`fencing.everyone`).
        f"init-command={quoted(CLIENT)}",
        "max-allowed-packet=1G",
        "local-infile=0",
    ]
    return "\n".join(lines) + "\n"


def is_applied(state: ServerState, cut: Cut) -> bool:
    """Whether everything in the cut is executed already; only GTIDs can tell."""
    if not cut.transactions:
        return True
    return state.executed_all(cut.gtids)


def wait_for_former(host: SshHost, server: ServerConfig, *, timeout: float = 3600.0) -> None:
    """Wait until no application that a dead manager left behind still runs on the host."""
    command = (
        f"{script('own.sh')}\nplace=$(own_directory {shlex.quote(server.remote_workdir)} 2>/dev/null) || exit 0\n"
        f'command -v flock >/dev/null && [ -e "$place/mha-apply.lock" ] || exit 0\n'
        f'flock -w {timeout:g} "$place/mha-apply.lock" true'
    )
    host.run(
        f"sh -c {shlex.quote(command)}", action="wait for an application that is still running", timeout=timeout + 5.0
    )


def script_words(
    server: Server,
    seen: ServerState,
    cut: Cut,
    log_file: str,
    workdir: str,
    programs: tuple[str | None, str | None],
    *,
    disable_log_bin: bool,
) -> tuple[str, ...]:
    """The arguments of apply.sh: ``log_file`` holds the cut, ``programs`` are the directories of the client's programs
    and of their libraries; all paths are of the host where it runs.
    """
    (asked,) = server.query(f"{_WHO}, @@socket AS socket", action="ask for its socket")
    socket = str(asked["socket"] or "") if cut.transactions >= NEAR_FROM else ""
    era = "old" if seen.vendor is Vendor.MYSQL and seen.version < (8, 0) else "new"
    flags = "--disable-log-bin" if disable_log_bin else ""
    bindir, libdir = (each or "" for each in programs)
    how = (workdir, log_file, bindir, libdir, seen.vendor.value, era, flags)
    return (*how, socket, _WHO, f"{asked['who']}\t{asked['account']}")


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
        return Applied(0, 0, 0.0)
    place = host.own_directory(config.remote_workdir)
    # By GTIDs the others would never ask for what this one has and did not log.
    unlogged = config.disable_log_bin and kind is GtidKind.POSITION
    options = client_options(config, vendor=seen.vendor, plugin=server.plugin).encode()
    remote = posixpath.join(place, path.name)
    programs = (config.client_bindir, config.client_libdir)
    words = script_words(server, seen, cut, remote, place, programs, disable_log_bin=unlogged)
    try:
        _send(host, path, cut, remote)
        result = host.run(
            f"sh -c {shlex.quote(script('apply.sh'))} apply {' '.join(shlex.quote(w) for w in words)}",
            action="apply the saved binary log",
            timeout=timeout,
            stdin=options,
        )
    finally:
        host.remove(remote)
    log.info("Applied %d transactions on %s in %.2f s.", cut.transactions, server, result.seconds)
    after = server.observe()
    if (kind is not GtidKind.POSITION) and not is_applied(after, cut):
        raise StatementFailed(config.name, "apply the saved binary log", f"{cut.gtids} is not executed afterwards")
    if kind is GtidKind.POSITION and not unlogged and after.end_of_log == seen.end_of_log:
        raise StatementFailed(config.name, "apply the saved binary log", "its own binary log did not grow")
    return Applied(cut.transactions, cut.bytes, result.seconds)


def _send(host: SshHost, path: Path, cut: Cut, remote: str) -> None:
    began = time.monotonic()
    with path.open("rb") as data:
        digest = host.put(data, remote)
    if digest != cut.sha256:
        raise CommandFailed(host.name, "send the saved binary log", "the copy there differs from the one here")
    log.info("Sent %d bytes to %s in %.2f s.", path.stat().st_size, host.name, time.monotonic() - began)
