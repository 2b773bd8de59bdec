"""Point a replica at a new primary, changing only host, port and place."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from ...config import ServerConfig
from ..cluster.catch_up import check_alive
from ..errors import DeadlineExceeded, StatementFailed
from ..fencing.everyone import start_replication
from ..model.position import BinlogPosition
from ..model.state import GtidKind, ReplicaChannel, ServerState
from ..mysql.dialects import ChannelThread, Repoint
from ..mysql.dialects.changing import ChannelOptions
from ..mysql.dialects.connecting import in_a_hole
from ..mysql.server import Server
from ..mysql.temporary_settings import LAX, lent
from .drain import stop_applier, stop_receiver
from .drained import Drained, discard_relay_logs

log = logging.getLogger("mha")

#: Gives a server settings for as long as the context lasts.
Lend = Callable[[Server, Mapping[str, int]], AbstractContextManager[None]]

LOOK_EVERY = 0.02
#: Seconds within which a source that let a replica in finds that it cannot send from its place.
REFUSED_WITHIN = 1.0
#: Seconds after which whom a replica does not reach is asked whether it lives.
ASK_AFTER = 0.5
#: CR_AUTH_PLUGIN_ERR with caching_sha2_password: the source does not know the password yet, and it is given in private
#: only. The old primary knew it from an earlier login.
PRIVATE_ONLY = 2061
#: What `Repoint` calls the kinds.
HOW = {GtidKind.MYSQL: "gtid", GtidKind.MARIADB: "mariadb_gtid", GtidKind.POSITION: "position"}


def follows(state: ServerState, channel: str, primary: ServerConfig) -> ReplicaChannel | None:
    """The channel, if it points at that primary already."""
    found = next((c for c in state.channels if c.name == channel), None)
    if found is None or found.of_a_rescue or found.source_port != primary.port:
        return None
    return found if found.source_host in (primary.hostname, primary.ip) else None


def change_source(
    server: Server,
    proof: Drained,
    primary: ServerConfig,
    kind: GtidKind,
    position: BinlogPosition | None,
    *,
    delay: int | None = None,
    former: ChannelOptions | None = None,
) -> None:
    """Stop both threads and CHANGE the source. Credentials, TLS and retries stay as the server keeps them.

    The new source is written as an address when the old one was, as a name when that was. ``position`` is a place
    in the new primary's log, for file/position replication; ``delay`` (seconds) is set when it was lifted before.
    ``former`` are the options of a channel that was turned to a saved log: they are put back.
    """
    state = server.observe()
    channel = next(c for c in state.channels if c.name == proof.channel)
    if follows(state, proof.channel, primary):
        return
    followed = former.host if former is not None else channel.source_host
    to = Repoint(
        host=primary.as_source(followed),
        port=primary.port,
        how=HOW[kind],
        position=position,
        using_gtid=channel.using_gtid if channel.using_gtid != "No" else "Slave_Pos",
        heartbeat=server.heartbeat_period(),
        delay=delay,
    )
    if former is not None:
        to = former.back(to)
    stop_applier(server, proof)
    server.query(server.dialect.stop(proof.channel), action="stop replication", timeout=65.0)
    sql, args = server.dialect.change_source(proof.channel, to)
    discard_relay_logs(server, proof, sql, args, action=f"point it at {primary.name}")
    log.info("%s: Executed CHANGE MASTER.", server)


def start_following(
    server: Server,
    channel: str,
    primary: ServerConfig,
    *,
    timeout: float = 15.0,
    alive: Server | None = None,
    lend: Lend = lent,
) -> ServerState:
    """Start both threads and wait until both run and the receiver is connected to the new primary.

    A channel that lacks the source's public key is given it, one whose place is a hole in the source's log passes it.
    ``alive`` is a session with whom it is to follow: ServerGone as soon as that does not answer. ``lend`` lends
    the server a setting for that, and is another where a journal is kept. Raises StatementFailed with the server's own
    words on an error that does not go away, DeadlineExceeded otherwise.
    """
    began, may_ask, may_pass = time.monotonic(), server.dialect.has_public_keys, True
    ends, ask = began + timeout, began + ASK_AFTER
    before, receives = follows(server.observe(), channel, primary), 0.0
    start_replication(server, channel)
    while True:
        state = server.observe()
        found = follows(state, channel, primary)
        if found is None:
            raise StatementFailed(server.config.name, f"follow {primary.name}", "it points elsewhere")
        if found.applier_errno:
            raise StatementFailed(server.config.name, "apply", found.applier_error, found.applier_errno)
        if found.receiver == "Yes" and found.applier_running:
            receives = receives or time.monotonic()
            if not _may_be_refused(found, before, receives):
                return state
            time.sleep(LOOK_EVERY)
            continue
        receives = 0.0
        lacks_key = found.receiver_errno == PRIVATE_ONLY and not (found.ssl or found.public_key)
        if may_ask and lacks_key and found.applier_running:
            may_ask = False
            _ask_for_key(server, found)
            continue
        if may_pass and in_a_hole(found.receiver_error):
            may_pass = False
            _pass_the_hole(server, channel, primary, ends, lend)
            continue
        if time.monotonic() > ask:
            check_alive(alive)
            ask = time.monotonic() + ASK_AFTER
        if time.monotonic() > ends:
            said = found.receiver_error or f"receiver {found.receiver}, applier running: {found.applier_running}"
            raise DeadlineExceeded(f"{server}: follow {primary.name}", timeout, said)
        time.sleep(LOOK_EVERY)


def _may_be_refused(found: ReplicaChannel, before: ReplicaChannel | None, since: float) -> bool:
    """MariaDB's source lets a replica in, and refuses it when it has looked for its place: for a moment it receives.

    Until something came, or a moment passed.
    """
    if found.using_gtid == "No" or before is None or found.gtid_io_pos != before.gtid_io_pos:
        return False
    return time.monotonic() - since < REFUSED_WITHIN


def _ask_for_key(server: Server, channel: ReplicaChannel) -> None:
    """Its receiver alone is stopped: a CHANGE beside an applier that runs deletes no relay logs (Reference Manual)."""
    log.warning("%s asks its source for its public key from now on: without TLS it is not let in otherwise.", server)
    stop_receiver(server, channel.name)
    sql, args = server.dialect.ask_for_key(channel.name, server.heartbeat_period())
    server.query(sql, args, action="let it ask for the public key")
    start_replication(server, channel.name, ChannelThread.RECEIVER)


def _pass_the_hole(server: Server, channel: str, primary: ServerConfig, ends: float, lend: Lend) -> None:
    """Its receiver alone connects without gtid_strict_mode: then the source goes on with what it logged next.

    That is no divergence: the source has what the same server did later, so what it did not log it has been told, too.
    """
    log.warning("%s is at a GTID that %s did not log: it connects without gtid_strict_mode.", server, primary.name)
    with lend(server, LAX):
        start_replication(server, channel, ChannelThread.RECEIVER)
        while time.monotonic() < ends:
            found = follows(server.observe(), channel, primary)
            if found is None or found.receiver == "Yes" or found.receiver_errno:
                return
            time.sleep(LOOK_EVERY)
