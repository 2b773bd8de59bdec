"""Look at everything that the checks judge: all servers, hosts and scripts at once, each wait bounded.

Nothing is created or changed anywhere: no table on a server, no file on a host.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from posixpath import basename, dirname, join

from ...config import ClusterConfig, ServerConfig
from ...config.loader import resolve_host
from ..cluster.pool import ConnectionPool, as_cluster, replaced
from ..cluster.row_proof import let_in
from ..cluster.unknown_replicas import readers_of
from ..coordination.failover_lock import FAILOVER_LOCK, MONITOR_LOCK
from ..coordination.quorum import STANDBY_LOCK
from ..detection.independence import is_local, is_own
from ..errors import DeadlineExceeded, HookError, MhaError, PrivilegeMissing, ServerError
from ..local.copy_places import spare_of
from ..local.own_files import doubt
from ..local.site_scripts import failover_args, run_hook, shutdown_args, why_not_runnable
from ..maintenance.binlog_server.archive import archive_directories
from ..maintenance.relay_logs.purge_cluster import PURGE_LOCK
from ..model.state import ClusterState, ServerState, Vendor
from ..model.topology import source_of
from ..mysql.advisory_locks import holders
from ..mysql.dialects.accounts import AccountLife, typed_account
from ..mysql.dialects.variables import spellings
from ..mysql.grants import parse_grants
from ..mysql.server import Server
from ..rescue.apply import client_options
from ..scripts import script
from ..ssh.host import SshHost
from ..ssh.rights import helper_path
from .account_life import lives_of, lives_on
from .cluster.admin_ports import look_at_port
from .facts import (
    Facts,
    HostFacts,
    ManagerFacts,
    Pair,
    Program,
    Route,
    ScriptFacts,
    ServerFacts,
)
from .hosts.ways import TriedWay, look_at_ways
from .trying_logins import TriedLogin, of_channel, try_logins

log = logging.getLogger("mha")

#: Seconds for a server's answer, for everything on a host, for one host to get to another, for a name.
SERVER_SECONDS, HOST_SECONDS, PAIR_SECONDS, NAME_SECONDS = 5.0, 12.0, 12.0, 2.0

_VARIABLES = spellings(
    (
        "sync_binlog",
        "innodb_flush_log_at_trx_commit",
        "binlog_row_image",
        "binlog_encryption",
        "binlog_expire_logs_seconds",
        "log_replica_updates",
        "init_connect",
        "max_connections",
        "require_secure_transport",
        "relay_log_info_file",
        "rpl_semi_sync_source_enabled",
        "rpl_semi_sync_replica_enabled",
    )
)
_LOCKS = (FAILOVER_LOCK, MONITOR_LOCK, STANDBY_LOCK, PURGE_LOCK)
#: What the first bytes of a binary log are when only a server with its keys can read it (MySQL 8.0.14 and newer).
_ENCRYPTED = b"\xfdbin"

#: Scripts that answer ``--command=status``, and those of which only their being startable can be known.
ASKED = ("master_ip_failover_script", "shutdown_script")
STARTED = ("master_ip_online_change_script", "secondary_check_script", "report_script", "init_conf_load_script")


def look(
    config: ClusterConfig,
    sessions: ConnectionPool,
    *,
    hosts: bool = True,
    scripts: bool = True,
    all_pairs: bool = False,
) -> Facts:
    """See everything once; troubles are facts. With ``all_pairs`` the hosts also try to reach each other."""
    facts = look_at_servers(config, sessions, warm_hosts=hosts)
    rest: list[Callable[[], object]] = []
    seen_hosts: dict[str, HostFacts] = {}
    seen_binlog: dict[str, HostFacts] = {}
    answers: list[ScriptFacts] = []
    ways: list[TriedWay] = []
    logins: list[TriedLogin] = []
    if hosts:
        rest.append(lambda: logins.extend(try_logins(facts.cluster, sessions)))
        rest.append(lambda: ways.extend(look_at_ways(config, sessions)))
        rest.append(lambda: seen_hosts.update(look_at_hosts(facts, sessions)))
        rest.append(lambda: seen_binlog.update(look_at_binlog_hosts(facts, sessions)))
    if scripts:
        rest.append(lambda: answers.extend(ask_scripts(facts)))
    # Each of them is bounded by itself; what is not done by then must not look as if all were well.
    limit = HOST_SECONDS + 15.0 + (2 * config.hook_timeout if scripts else 0.0)
    for _, result in sessions.each(lambda call: (call(), True), rest, timeout=limit):
        if not isinstance(result, tuple):
            raise result or DeadlineExceeded("look at hosts and scripts", limit)
    return Facts(
        config=config,
        cluster=facts.cluster,
        servers=facts.servers,
        hosts=seen_hosts,
        binlog_hosts=seen_binlog,
        scripts=tuple(answers),
        manager=look_at_manager(config),
        pairs=tuple(look_from_host_to_host(config, sessions)) if all_pairs else (),
        ways=tuple(ways),
        logins=tuple(logins),
        resolved=facts.resolved,
        own=frozenset(s.address for s in config.servers if is_own(s)),
        routes=tuple(look_at_routes(config.secondary_check_script or "", sessions)),
    )


def look_at_routes(script: str, sessions: ConnectionPool) -> list[Route]:
    """The hosts that `masterha_secondary_check` is told to ask; of other scripts nothing is known."""
    try:
        words = shlex.split(script)
    except ValueError:
        return []
    if not words or basename(words[0]) != "masterha_secondary_check":
        return []
    named = [value for word, value in pairwise(words) if word in ("-s", "--secondary_host")]
    named += [word.partition("=")[2] for word in words if word.startswith("--secondary_host=")]
    hosts = list(dict.fromkeys(named))

    def route(host: str) -> Route:
        try:
            address = resolve_host(host, NAME_SECONDS)
        except (OSError, UnicodeError):
            return Route(host, None)
        return Route(host, address, is_local(address))

    return [found for _, found in sessions.each(route, hosts, timeout=NAME_SECONDS + 1) if isinstance(found, Route)]


def look_at_servers(config: ClusterConfig, sessions: ConnectionPool, *, warm_hosts: bool = False) -> Facts:
    """Every server's state and variables; meanwhile, with ``warm_hosts``, the SSH sessions are opened."""

    def ask(work: tuple[str, ServerConfig]) -> tuple[ServerState | ServerError, ServerFacts] | None:
        kind, server = work
        if kind == "host":
            sessions.host(server.address).connect()
            return None
        session = sessions.server(server.address)
        session.connect(SERVER_SECONDS)
        seen = _facts_of(session)
        try:
            state = session.observe()
            return state, replace(seen, kept_port=look_at_port(session))
        except ServerError as error:
            # A missing privilege is no reason not to say which others are.
            return error, seen

    # Servers first: what they say is needed before a host can be asked for its files.
    work = [("server", s) for s in config.servers]
    work += [("host", s) for s in config.servers if warm_hosts and not s.skip_init_ssh_check]
    limit = SERVER_SECONDS + max((s.ssh_connection_timeout for s in config.servers), default=0)
    done = sessions.each(ask, work, timeout=limit)
    answered = [(server, result) for (kind, server), result in done if kind == "server"]
    states = ((s, r[0] if isinstance(r, tuple) else r) for s, r in answered)
    cluster = as_cluster(states, limit, replaced(config))
    facts = {s.address: r[1] for s, r in answered if isinstance(r, tuple)}
    facts = _with_accounts_of_channels(facts, cluster, sessions)
    return Facts(config, cluster, facts, resolved=_resolved(config, cluster.up, sessions))


def _with_accounts_of_channels(
    facts: dict[str, ServerFacts], cluster: ClusterState, sessions: ConnectionPool
) -> dict[str, ServerFacts]:
    """Replicas may come in with other accounts than repl_user; how long those last is asked of every server, too."""
    used = {name for state in cluster.up if (name := of_channel(state.channels))}

    def ask(key: str) -> tuple[AccountLife, ...] | None:
        config = sessions.server(key).config
        more = used - {config.user, config.repl_user}
        return lives_of(sessions.server(key), sorted(more)) if more else ()

    done = sessions.each(ask, [key for key in facts if cluster.get(key) is not None], timeout=SERVER_SECONDS)
    more = {key: found for key, found in done if isinstance(found, tuple) and found}
    return {
        key: replace(seen, lives=(*seen.lives, *more.get(key, ()))) if seen.lives is not None else seen
        for key, seen in facts.items()
    }


def _facts_of(server: Server) -> ServerFacts:
    rows = server.query(
        f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({', '.join(['%s'] * len(_VARIABLES))})",
        _VARIABLES,
        action="read its variables",
    )
    user = str(server.scalar("SELECT CURRENT_USER()", action="see who it is"))
    name, _, host = user.rpartition("@")
    grants = server.query("SHOW GRANTS", action="see its own privileges")
    began = time.time()
    there = float(server.scalar("SELECT UNIX_TIMESTAMP(NOW(6))", action="read its clock"))
    here = (began + time.time()) / 2
    clients = server.query(
        "SHOW GLOBAL STATUS WHERE Variable_name IN ('Rpl_semi_sync_source_clients', 'Rpl_semi_sync_master_clients')",
        action="read its semi-synchronous replicas",
    )
    connected = server.query("SHOW GLOBAL STATUS LIKE 'Threads_connected'", action="see how many sessions it has")
    return ServerFacts(
        dialect=server.dialect,
        account=typed_account(name, host),
        grants=parse_grants(str(next(iter(row.values()))) for row in grants),
        replication_accounts=_replication_accounts(server),
        variables={str(row["Variable_name"]).lower(): str(row["Value"]) for row in rows},
        clock_ahead=there - here,
        semi_sync_clients=int(clients[0]["Value"]) if clients else None,
        connected=int(connected[0]["Value"]) if connected else None,
        probe=let_in(server.config) if server.config.probe_user is not None else None,
        readers=readers_of(server),
        lives=lives_on(server),
        unproven=server.unproven,
        squatters=tuple(holder for holder in holders(server, _LOCKS) if not holder.counts),
    )


def _replication_accounts(server: Server) -> frozenset[tuple[str, str]] | None:
    try:
        rows = server.query(
            "SELECT User AS user, Host AS host FROM mysql.user WHERE Repl_slave_priv = 'Y'",
            action="see who may replicate from it",
        )
    except PrivilegeMissing:
        return None
    return frozenset((_text(row["user"]), _text(row["host"])) for row in rows)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _resolved(config: ClusterConfig, states: Iterable[ServerState], sessions: ConnectionPool) -> dict[str, str | None]:
    """The addresses of sources that the configuration calls otherwise, or does not know."""
    names = {c.source_host for s in states if source_of(config, s) is None for c in s.channels if c.source_host}

    def address(name: str) -> str | None:
        try:
            return resolve_host(name, NAME_SECONDS)
        except (OSError, UnicodeError):
            return None

    done = sessions.each(address, names, timeout=NAME_SECONDS + 1)
    return {name: found if isinstance(found, str) else None for name, found in done}


# hosts ---------------------------------------------------------------------------------------------------------------


def look_at_hosts(facts: Facts, sessions: ConnectionPool) -> dict[str, HostFacts]:
    """Every server's host, over SSH, by ``ip:port``."""

    def ask(server: ServerConfig) -> HostFacts:
        host = sessions.host(server.address)
        if server.skip_init_ssh_check:
            return HostFacts(host.name, skipped=True)
        state, plugin = facts.cluster.get(server.address), sessions.server(server.address).plugin
        options = client_options(server, vendor=state.vendor, plugin=plugin) if state else ""
        return _look_at(host, server, state, facts.servers.get(server.address), options)

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
    for server, result in sessions.each(ask, servers, timeout=HOST_SECONDS + 2.0):
        if not isinstance(result, HostFacts):
            result = HostFacts(name(server), error=str(result or f"no answer within {HOST_SECONDS:g} s"))
        found[key(server)] = result
    return found


def _look_at(
    host: SshHost, server: ServerConfig, state: ServerState | None, facts: ServerFacts | None, options: str
) -> HostFacts:
    vendor = state.vendor.value if state else Vendor.MYSQL.value
    datadir = state.datadir if state else ""
    current = state.end_of_log.file if state and state.end_of_log else ""
    words = [vendor, server.client_bindir or "", server.client_libdir or "", server.remote_workdir, datadir, current]
    words += [relay_log_info(state, facts), "1" if state else "0", *directories_of(server, state)]
    seen = _ask_host(host, words, options.encode(), helper_path(server))
    return replace(seen, info=words[6])


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


# here ----------------------------------------------------------------------------------------------------------------


def look_at_manager(config: ClusterConfig) -> ManagerFacts:
    """The directory of state files, journals and saved logs; one that is missing is made when it is needed."""
    path, spare = config.manager_workdir, spare_of(config)
    seen = ManagerFacts(str(path), open_files=tuple(str(file) for file in config.secret_files if _is_open(file)))
    there, trouble = _usable(path)
    if trouble:
        return replace(seen, trouble=trouble)
    second, trouble = _usable(spare)
    apart = not trouble and second.stat().st_dev != there.stat().st_dev
    return replace(
        seen,
        doubt=doubt(path) if there == path else "",
        free=shutil.disk_usage(there).free,
        spare=str(spare),
        spare_trouble=trouble,
        spare_free=shutil.disk_usage(second).free if apart else 0,
    )


def _usable(path: Path) -> tuple[Path, str]:
    """What is there of a directory that may still have to be made, and why nothing can be written there."""
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir():
        return there, f"{there} is no directory"
    return there, "" if os.access(there, os.W_OK | os.X_OK) else f"{there} cannot be written by this user"


def _is_open(file: Path) -> bool:
    """Whether every local user may read it."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def ask_scripts(facts: Facts) -> list[ScriptFacts]:
    """Ask the scripts that can be asked, and see whether the others can be started. Bounded by ``hook_timeout``."""
    config, primary = facts.config, facts.primary
    found = []
    for parameter in ASKED:
        line = getattr(config, parameter)
        if line and primary is not None:
            args = failover_args("status", primary) if parameter == ASKED[0] else shutdown_args("status", primary)
            found.append(ScriptFacts(parameter, _status(config, parameter, line, args), asked=True))
    for parameter in STARTED:
        if line := getattr(config, parameter):
            found.append(ScriptFacts(parameter, why_not_runnable(line)))
    return found


def _status(config: ClusterConfig, parameter: str, line: str, args: list[str]) -> str:
    log.info("Checking %s status:", parameter)
    secrets = [server.password.get_secret_value() for server in config.servers]
    try:
        done = run_hook(line, args, command="status", timeout=config.hook_timeout, secrets=secrets)
    except HookError as error:
        return str(error)
    said = next((text for text in reversed(done.output) if text.strip()), "")
    return "" if done.ok else f"exit code {done.exit_code}" + (f": {said.strip()}" if said else "")
