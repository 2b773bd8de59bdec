"""A server that is down is started for its rejoin, by what starts it on its host, and closed from its first answer on.

What fencing left is taken back in order: the unit may start, and the option file stays until it is a replica, so
that it finds itself read-only and replicates from nobody.
"""

from __future__ import annotations

import logging

from ...config import ServerConfig
from ..cluster.pool import ConnectionPool
from ..coordination.failover_lock import FailoverLock
from ..errors import DeadlineExceeded, HostError, RefusalError, ServerUnreachable
from ..fencing.kill import keep_read_only, unfence
from ..fencing.read_only import close_for_writes
from ..memory.held_servers import HeldServers
from ..memory.journal import VERDICT, journals, read_journal
from ..model.refusal import Refusal
from ..model.state import ClusterState
from ..model.topology import find_primary
from ..model.ways_back import How
from ..probes.host import ServerPaths
from .observe import WhoIsBack
from .rebuild.on_host import OnHost
from .remembered.interrupted import BegunRejoin, last_of_each

log = logging.getLogger("mha")

#: Seconds that a server has to answer before it counts as down here.
ANSWERS = 3.0


def start_if_down(who: WhoIsBack, sessions: ConnectionPool) -> None:
    """Nothing for one that answers, in whatever words.

    Started is only who is held since a failover replaced it, or was stopped by a rebuild, beside a living primary.
    Raises RefusalError where it cannot be started, or may not be; AlreadyActing.
    """
    session = sessions.server(who.old.address)
    _wait_for_a_step(who, sessions)
    try:
        session.connect(ANSWERS)
        return
    except ServerUnreachable as error:
        down = str(error)
    lock = FailoverLock(s for s in who.config.servers if s.address != who.old.address)
    lock.take()
    try:
        last = last_of_each(who.config.manager_workdir, who.config.name).get(who.old.address)
        if why := why_not_started(who, sessions.observe(), last):
            raise RefusalError(_refused(who, why, down))
        log.info("%s does not answer: its mysqld is started, read-only.", who.old.name)
        _start(who, sessions)
    except (HostError, DeadlineExceeded) as error:
        raise RefusalError(_refused(who, f"and could not be started: {error}", down)) from error
    finally:
        lock.release()


def _refused(who: WhoIsBack, why: str, down: str) -> Refusal:
    return Refusal(
        "not-running",
        f"{who.old.name} does not answer, so it cannot be made a replica, {why}.",
        "Start its mysqld; while a manager watches it is held read-only from its first moment on.",
        (down,),
    )


def why_not_started(who: WhoIsBack, cluster: ClusterState, last: BegunRejoin | None) -> str:
    """Empty for one that may be. Pure."""
    stopped = last is not None and last.cut_short and last.plan.get("how") == How.REBUILD.value
    if who.hold is None and not stopped:
        return "and is not started: no failover of this host replaced it, and no rebuild stopped it"
    primary = find_primary(who.config, cluster)
    if isinstance(primary, Refusal):
        return f"and is not started: {primary.sentence.rstrip('.')}"
    state = cluster.get(primary.address)
    if primary.address == who.old.address or state is None or not state.writable:
        return "and is not started: no other server lives and takes the writes"
    return ""


def _wait_for_a_step(who: WhoIsBack, sessions: ConnectionPool) -> None:
    """One that a rebuild left behind when it was killed goes on on the host, and may stop the server just now."""
    last = last_of_each(who.config.manager_workdir, who.config.name).get(who.old.address)
    places = places_of(who)
    if last is None or not last.cut_short or last.plan.get("how") != How.REBUILD.value or not places.datadir:
        return
    try:
        OnHost(sessions.host(who.old.address), who.old, places).state()
    except (HostError, DeadlineExceeded) as error:
        log.warning("%s", error)


def _start(who: WhoIsBack, sessions: ConnectionPool) -> None:
    host, old, session = sessions.host(who.old.address), who.old, sessions.server(who.old.address)
    traces = who.hold.traces if who.hold is not None else ()
    if units := [trace for trace in traces if trace.endswith((".service", ".conf"))]:
        for line in unfence(host, old, units):
            log.info("%s: %s", old.name, line)
    closed = any(trace.endswith(".cnf") for trace in traces)
    if not closed:
        written = keep_read_only(host, old).persisted
        if who.hold is not None and written:
            HeldServers.of(who.config).left_trace(who.hold.key, written)
        closed = bool(written)
    OnHost(host, old, places_of(who)).start(session, closed=closed)
    log.info("%s answers: %s.", old.name, close_for_writes(session))


def places_of(who: WhoIsBack) -> ServerPaths:
    """Where its data lies: as it told before it was found dead, else as the configuration says."""
    config, old = who.config, who.old
    for path in journals(config.manager_workdir, config.name):
        for entry in read_journal(path):
            if (entry.step, entry.event, entry.server) == (VERDICT, "dead", old.address):
                return ServerPaths.parse(entry.facts, old)
    return _as_configured(old)


def _as_configured(old: ServerConfig) -> ServerPaths:
    return ServerPaths(old.master_pid_file or "", owned=old.master_binlog_dir)
