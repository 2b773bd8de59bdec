"""purge_relay_logs: on a replica's own host, remove the relay logs that it has executed."""

from __future__ import annotations

import getpass
import sys
import threading
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .shared.arguments import address, described, password
from .shared.options import OptionParser, run, say_without_effect

if TYPE_CHECKING:
    from ..config import ServerConfig

PASSWORD_VARIABLE = "MYSQL_PWD"  # noqa: S105 - a name, no password
#: Seconds to wait for another command that acts on this server (purge_relay_logs 0.58).
LOCK_WAIT = 200.0
WITHOUT_EFFECT = ("relay_log_info", "use_hardlink")


def parser() -> OptionParser:
    """The options of MHA's command."""
    made = OptionParser(
        "purge_relay_logs",
        "Remove the relay logs that the replica on this host has executed; for replicas with relay_log_purge=0,\n"
        "which keep them for a failover. What is not executed stays. Run it from cron, on each replica at another\n"
        "hour; mha purge-relay-logs does it for a whole cluster from the manager.\n\n"
        "exit codes:\n   0  purged\n   2  the options are wrong\n   1  anything else",
        "purge_relay_logs --user=mha --defaults_file=/etc/mha/client.cnf --disable_relay_log_purge",
    )
    add = made.add_argument
    add("--user", metavar="USER", help="MySQL account (root)")
    add("--password", metavar="PASSWORD", help=f"env:NAME or file:/path; better: --defaults_file, {PASSWORD_VARIABLE}")
    add("--host", metavar="HOST", help="the server on this host (127.0.0.1)")
    add("--port", type=int, metavar="PORT", help="its port (3306)")
    add("--socket", metavar="FILE", help="its socket, instead of host and port")
    add("--defaults_file", type=Path, metavar="FILE", help="an option file of MySQL whose [client] says all of these")
    add("--workdir", metavar="DIR", help="where hard links go meanwhile (default: beside the relay logs)")
    add("--disable_relay_log_purge", action="store_true", help="set relay_log_purge=0 where it is 1, and go on")
    add("--relay_log_info", metavar="FILE", help="no effect: the server tells where its relay logs are")
    add("--use_hardlink", nargs="?", const="1", metavar="0|1", help="no effect: hard links are always used")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    given = parser().parse(argv)
    say_without_effect(given, WITHOUT_EFFECT)
    return run(lambda: purge(given))


def purge(given: Namespace) -> int:
    """Purge, and tell what was removed."""
    from ..replication.maintenance.relay_logs.files import local_shell
    from ..replication.maintenance.relay_logs.purge import purge_replica
    from ..replication.mysql.server import Server
    from ..replication.notify.manager_log import setup_logging
    from .shared.failover_options import watch_parent_signals

    config = server_config(given)
    setup_logging(None, "info", [config.password.get_secret_value()])
    stop = threading.Event()
    watch_parent_signals(stop)
    server = Server(config)
    try:
        done = purge_replica(
            server,
            local_shell,
            stop,
            workdir=given.workdir or "",
            lock_wait=LOCK_WAIT,
            disable_relay_log_purge=given.disable_relay_log_purge,
        )
    finally:
        server.close()
    print(done)
    if stop.is_set():
        return 1
    print("All relay log purging operations succeeded.")
    return 0


def server_config(given: Namespace) -> ServerConfig:
    """The server of this host as a configuration would describe it; options win over the option file.

    Raises ConfigError and LogError.
    """
    from pydantic import SecretStr

    from ..config import ConfigError
    from .shared.option_file import read_client_options

    file = read_client_options(given.defaults_file) if given.defaults_file else {}
    if given.password is None and "password" in file:
        secret = SecretStr(file["password"])
    else:
        secret = password("--password", given.password, PASSWORD_VARIABLE)
        if given.password is None and not secret.get_secret_value() and sys.stdin.isatty():
            secret = SecretStr(getpass.getpass("Password (empty for none): "))
    host = given.host or file.get("host") or "127.0.0.1"
    # A host that was named on the command line is not meant to be passed over for the file's socket.
    socket = given.socket or (None if given.host else file.get("socket"))
    port = str(given.port or file.get("port") or 3306)
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"port must be a number below 65536, not {port!r}", file=given.defaults_file)
    session = {"unix_socket": socket, "user": given.user or file.get("user") or "root", "password": secret}
    tls = {name: file[name] for name in ("ssl_ca", "ssl_cert", "ssl_key") if name in file}
    return described("host", host, address(host, "--host"), port=int(port), **session, **tls)


if __name__ == "__main__":
    raise SystemExit(main())
