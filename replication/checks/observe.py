"""Look at everything that the checks judge: all servers, hosts and scripts at once, each wait bounded.

Nothing is created or changed anywhere: no table on a server, no file on a host.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from posixpath import basename

from ...config import ClusterConfig, ServerConfig
from ...config.loader import resolve_host
from ..cluster.pool import ConnectionPool, as_cluster, replaced
from ..cluster.row_proof import let_in
from ..cluster.unknown_replicas import readers_of
from ..coordination.failover_lock import FAILOVER_LOCK, MONITOR_LOCK
from ..coordination.quorum import STANDBY_LOCK
from ..detection.independence import is_local, is_own, same_host
from ..errors import DeadlineExceeded, MhaError, PrivilegeMissing, ServerError
from ..maintenance.relay_logs.purge_cluster import PURGE_LOCK
from ..model.state import ClusterState, ServerState
from ..model.topology import source_of
from ..mysql.advisory_locks import holders
from ..mysql.dialects.accounts import AccountLife, typed_account
from ..mysql.dialects.variables import spellings
from ..mysql.grants import parse_grants
from ..mysql.server import Server, shown
from .account_life import lives_of, lives_on
from .cluster.admin_ports import look_at_port
from .facts import (
    Facts,
    HostFacts,
    Route,
    ScriptFacts,
    SeenWitness,
    ServerFacts,
)
from .hosts.ways import TriedWay, look_at_ways
from .look_at_hosts import HOST_SECONDS, look_at_binlog_hosts, look_at_hosts, look_from_host_to_host
from .look_here import ask_scripts, look_at_manager
from .trying_logins import TriedLogin, of_channel, try_logins

#: Seconds for a server's answer, and for a name.
SERVER_SECONDS, NAME_SECONDS = 5.0, 2.0

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
        "rpl_semi_sync_source_timeout",
        "rpl_semi_sync_source_wait_point",
        "rpl_semi_sync_source_wait_no_replica",
        "rpl_semi_sync_source_wait_for_replica_count",
    )
)
_LOCKS = (FAILOVER_LOCK, MONITOR_LOCK, STANDBY_LOCK, PURGE_LOCK)


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
        witnesses=tuple(look_at_witnesses(config, sessions, facts.primary)),
    )


def look_at_witnesses(
    config: ClusterConfig, sessions: ConnectionPool, primary: ServerConfig | None
) -> Iterator[SeenWitness]:
    """Whether each answers over SSH, and lives neither with the manager nor with the primary."""
    asked = sessions.each(
        lambda witness: sessions.witness(witness.block).run("true", action="see whether it answers", timeout=4.0),
        config.witnesses,
        timeout=6.0,
    )
    for witness, result in asked:
        trouble = "" if result is not None and not isinstance(result, MhaError) else str(result or "no answer in time")
        if primary is not None and same_host(witness, primary):
            trouble = f"is the host of the primary {primary.name}"
        elif is_own(witness):
            trouble = "is the manager's own host"
        yield SeenWitness(witness.hostname, trouble)


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
    cluster = as_cluster(states, replaced(config))
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
    variables = shown(server, _VARIABLES, action="read its variables")
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
        variables={name.lower(): value for name, value in variables.items()},
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
