"""Look at the hosts, over SSH: what a rescue would need there, and whether they reach each other."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from posixpath import dirname, join

from ...config import ClusterConfig, ServerConfig
from ..cluster.pool import ConnectionPool
from ..detection.observation import Finding, Observer
from ..errors import MhaError
from ..maintenance.binlog_server.archive import archive_directories
from ..model.state import ServerState, Vendor
from ..mysql.server import Server
from ..probes.host import HostView, ServerPaths, look_at
from ..probes.same_host import leads_elsewhere
from ..rescue.apply import client_options
from ..scripts import script
from ..ssh.host import SshHost
from ..ssh.rights import helper_path
from ..ssh.wrong_host import looking_again, note
from .facts import (
    Facts,
    HostFacts,
    Pair,
    Program,
    ServerFacts,
)

#: Seconds for what a rescue needs of a host, for the process of its server, and for one host to get to another.
HOST_SECONDS, PROCESS_SECONDS, PAIR_SECONDS = 12.0, 4.0, 12.0
#: What the first bytes of a binary log are when only a server with its keys can read it (MySQL 8.0.14 and newer).
_ENCRYPTED = b"\xfdbin"


def look_at_hosts(facts: Facts, sessions: ConnectionPool) -> dict[str, HostFacts]:
    """Every server's host, over SSH, by ``ip:port``."""

    def ask(server: ServerConfig) -> HostFacts:
        host = sessions.host(server.address)
        if server.skip_init_ssh_check:
            return HostFacts(host.name, skipped=True)
        state, session = facts.cluster.get(server.address), sessions.server(server.address)
        options = client_options(server, vendor=state.vendor, plugin=session.plugin) if state else ""
        with looking_again():
            return _look_at(host, server, state, facts.servers.get(server.address), options, session)

    return _by(sessions, ask, facts.config.servers, lambda s: s.address, lambda s: sessions.host(s.address).name)


def look_at_binlog_hosts(facts: Facts, sessions: ConnectionPool) -> dict[str, HostFacts]:
    """The hosts of the [binlogN] blocks, by block."""
    primary = facts.primary

    def ask(server: ServerConfig) -> HostFacts:
        directories = archive_directories(server, primary) if primary else server.master_binlog_dir
        vendor = facts.primary_state.vendor if facts.primary_state else Vendor.MYSQL
        host = sessions.binlog_host(server.block)
        words = [vendor.value, server.client_bindir or "", server.client_libdir or "", server.remote_workdir]
        return _ask_host(host, [*words, "", "", "", "0", *directories], b"")

    blocks = facts.config.binlog_servers
    return _by(sessions, ask, blocks, lambda s: s.block, lambda s: sessions.binlog_host(s.block).name)


def _by(
    sessions: ConnectionPool,
    ask: Callable[[ServerConfig], HostFacts],
    servers: Iterable[ServerConfig],
    key: Callable[[ServerConfig], str],
    name: Callable[[ServerConfig], str],
) -> dict[str, HostFacts]:
    found = {}
    for server, result in sessions.each(ask, servers, timeout=HOST_SECONDS + PROCESS_SECONDS + 1.0):
        if not isinstance(result, HostFacts):
            result = HostFacts(name(server), error=str(result or f"no answer within {HOST_SECONDS:g} s"))
        found[key(server)] = result
    return found


def _look_at(
    host: SshHost,
    server: ServerConfig,
    state: ServerState | None,
    facts: ServerFacts | None,
    options: str,
    session: Server,
) -> HostFacts:
    vendor = state.vendor.value if state else Vendor.MYSQL.value
    datadir = state.datadir if state else ""
    current = state.end_of_log.file if state and state.end_of_log else ""
    words = [vendor, server.client_bindir or "", server.client_libdir or "", server.remote_workdir, datadir, current]
    words += [relay_log_info(state, facts), "1" if state else "0", *directories_of(server, state)]
    seen = _ask_host(host, words, options.encode(), helper_path(server))
    if state is None or seen.error:
        return replace(seen, info=words[6])
    view = look_at(host, server, ServerPaths.of(server, state), timeout=PROCESS_SECONDS)
    unseen, elsewhere = _process(view)
    wrong_host = leads_elsewhere(host, session, view.pids, timeout=PROCESS_SECONDS)
    if wrong_host is not None:
        # A disk that is full is told by its own check.
        with suppress(OSError):
            note(server, host.name, wrong_host)
    return replace(seen, info=words[6], unseen=unseen, elsewhere=elsewhere, wrong_host=wrong_host)


def _process(view: HostView) -> tuple[str, bool]:
    """Why the mysqld of a server that answers is not found on its host, by the look that a fence begins with.

    And whether nobody listens on its port there either, as on another host.
    """
    found = next((o for o in view.seen if o.source is Observer.PROCESS), view.seen[0])
    if found.finding is Finding.GONE:
        closed = any(o.source is Observer.PORT and o.finding is Finding.CLOSED for o in view.seen)
        return f"no process of it{' and no listener' if closed else ''}, though it answers", closed
    unsure = found.finding in (Finding.NO_VIEW, Finding.UNANSWERED)
    return found.detail if unsure else "", False


def relay_log_info(state: ServerState | None, facts: ServerFacts | None) -> str:
    """The file that tells a replica's place in its relay logs; empty where a table does."""
    if state is None or facts is None or not state.channels:
        return ""
    if not facts.dialect.keeps_place_in_file(state.relay_log_info_repository):
        return ""
    name = facts.value("relay_log_info_file") or ""
    if name and state.vendor is Vendor.MARIADB and (connection := state.channels[0].name):
        # MariaDB: one file for each named connection, its name in lower case before the suffix.
        stem, dot, suffix = name.rpartition(".")
        name = f"{stem or suffix}-{connection.lower()}{dot}{suffix if stem else ''}"
    return join(state.datadir, name) if name else ""


def directories_of(server: ServerConfig, state: ServerState | None) -> tuple[str, ...]:
    """Where a rescue looks for this server's logs: configured ones, and those the server names itself."""
    named = [dirname(each) for each in (state.log_bin_basename, state.relay_log_basename) if each] if state else []
    return tuple(dict.fromkeys(directory.rstrip("/") or "/" for directory in (*server.master_binlog_dir, *named)))


def _ask_host(host: SshHost, words: list[str], options: bytes, helper: str = "") -> HostFacts:
    arguments = " ".join(shlex.quote(word) for word in words)
    began = time.time()
    try:
        done = host.run(
            f"HELPER={shlex.quote(helper)} sh -c {shlex.quote(script('look.sh'))} look {arguments}",
            action="see what a rescue needs there",
            timeout=HOST_SECONDS,
            stdin=options,
        )
    except MhaError as error:
        return HostFacts(host.name, error=str(error))
    return _read(host, done.stdout, began)


def _read(host: SshHost, output: str, began: float) -> HostFacts:
    told: dict[str, list[list[str]]] = {}
    for line in output.splitlines():
        key, *values = line.split("\t")
        told.setdefault(key, []).append(values)

    def program(key: str) -> Program | None:
        return Program(*told[key][0][:3]) if key in told else None

    logs = tuple(values[0] for values in told.get("log", ()))
    trouble, encrypted = _try_sftp(host, logs)
    return HostFacts(
        name=host.name,
        sftp=trouble,
        encrypted=encrypted,
        clock_ahead=_ahead(told.get("clock"), began),
        superuser="superuser" in told,
        owns_data="owns" in told,
        helper=told["helper"][0][0] if "helper" in told else "",
        no_helper=told["nohelper"][0][0] if "nohelper" in told else "",
        tools=frozenset(values[0] for values in told.get("tool", ())),
        activated=tuple(values[0] for values in told.get("activated", ())),
        reader=program("reader"),
        client=program("client"),
        connects=_tried(told, "connects"),
        answers=_answers(told),
        reads=None if encrypted else _tried(told, "reads"),
        logs=logs,
        unreadable={values[0]: values[1] for values in told.get("unreadable", ())},
        workdir=told["workdir"][0][0] if "workdir" in told else "",
        free={path: int(k) * 1024 for path, k in told.get("free", ()) if k.isdigit()},
    )


def _tried(told: Mapping[str, list[list[str]]], key: str) -> str | None:
    if key not in told:
        return None
    return told[key][0][0] if told[key][0] else ""


def _answers(told: Mapping[str, list[list[str]]]) -> int:
    """The server_id of who let the client in; 0 when nobody did."""
    said = told.get("connects", [[]])[0]
    return int(said[1]) if len(said) > 1 and said[1].isdigit() else 0


def _ahead(clock: list[list[str]] | None, began: float) -> float | None:
    """The script reads its clock first, so that is right after the command was sent."""
    try:
        return float(clock[0][0]) - began if clock else None
    except ValueError:
        return None


def _try_sftp(host: SshHost, logs: tuple[str, ...]) -> tuple[str, bool]:
    """Read as the rescue does: why that fails, and whether the log is one that only its server can read."""
    try:
        if not logs:
            host.stat("/")
            return "", False
        with host.open(logs[0], links=False) as file:
            return "", file.read(4) == _ENCRYPTED
    except MhaError as error:
        return str(error), False


def look_from_host_to_host(config: ClusterConfig, sessions: ConnectionPool) -> list[Pair]:
    """Every host to every other, with the hosts' own ssh and their own keys, as MHA needed it."""
    taking_part = [s for s in config.servers if not s.skip_init_ssh_check]
    wanted = [(a, b) for a in taking_part for b in taking_part if a.address != b.address]

    def attempt(pair: tuple[ServerConfig, ServerConfig]) -> Pair:
        start, end = (sessions.host(server.address) for server in pair)
        try:
            done = start.run(_ssh_to(pair[1]), action=f"reach {end.name}", timeout=PAIR_SECONDS, ok=range(256))
        except MhaError as error:
            return Pair(start.name, end.name, str(error))
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        said = lines[-1] if lines else f"exit {done.exit_code}"
        return Pair(start.name, end.name, "" if done.exit_code == 0 else said)

    done = sessions.each(attempt, wanted, timeout=PAIR_SECONDS * max(1, len(wanted) // 4 + 1))
    return [
        result if isinstance(result, Pair) else Pair(a.ssh_host, b.ssh_host, f"no answer within {PAIR_SECONDS:g} s")
        for (a, b), result in done
    ]


def _ssh_to(server: ServerConfig) -> str:
    options = server.ssh_options.raw
    user, port = server.ssh_options.user or server.ssh_user, server.ssh_options.port or server.ssh_port
    login = f"-o BatchMode=yes -o ConnectTimeout={server.ssh_connection_timeout} -p {port} -l {shlex.quote(user)}"
    # The user's own text, split and quoted again: what it holds is for ssh, not for the host's shell.
    own = " ".join(shlex.quote(word) for word in shlex.split(options))
    return f"ssh {own} {login} {shlex.quote(server.ssh_ip)} exit 0 </dev/null"
