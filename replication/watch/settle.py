"""Settle: what failovers of this host began and left open is ended where that is safe, and told where it is not."""

from __future__ import annotations

import contextlib
import logging
import time

from ...config import ClusterConfig, ServerConfig
from ..actions.early_source import early_sources, wait_no_longer
from ..cluster.pool import ConnectionPool
from ..errors import MhaError, ServerError
from ..fencing.everyone import start_replication
from ..memory.follow_up import left_out
from ..memory.journal import Journal, journals, opened_before, unfinished
from ..memory.last_writable import CLOSED, OLD_PRIMARY, TAKEN_OVER, LastWritable, told_to_close
from ..memory.open_business import Settlement, note_settled, settle, stopped_receivers
from ..model.state import ClusterState
from ..mysql.dialects import ChannelThread
from ..rescue import tail_chain
from ..rescue.tail_chain import settled_by_gtid

log = logging.getLogger("mha")

#: Seconds for all receivers that are started again.
START = 12.0


def settle_open_business(
    config: ClusterConfig, sessions: ConnectionPool, cluster: ClusterState, primary: ServerConfig
) -> tuple[str, ...]:
    """Start the receivers that a failover stopped which then opened nobody; returns what is left, in sentences.

    Saved tails that everybody has by now are no longer remembered.
    """
    if tails := settled_by_gtid(config, cluster):
        with contextlib.closing(Journal(journals(config.manager_workdir, config.name)[0])) as journal:
            tail_chain.note_settled(journal, tails)
    if (state := cluster.get(primary.address)) is not None:
        _remember_the_closing(config, primary.address, is_closed=bool(state.closed_by))
    _take_demand_back(config, sessions, cluster, primary)
    # Who was left out by a failover that opened somebody is gone on with beside the watch.
    rest = left_out(config.manager_workdir, config.name)
    looked_after = rest.servers if rest is not None and rest.opened.key == primary.address else {}
    stopped = [r for r in stopped_receivers(config.manager_workdir, config.name) if r.key not in looked_after]
    if not stopped:
        return ()
    decided = settle(stopped, cluster, primary)
    done = [each.key for each in decided.over]
    left = list(decided.told)
    channels = {each.key: each.channel for each in decided.start}

    def start(key: str) -> bool:
        start_replication(sessions.server(key), channels[key], action="start replication again")
        return True

    for key, result in sessions.each(start, list(channels), timeout=START):
        name = sessions.server(key).config.name
        if result is not True:
            left.append(f"{name}: its receiver stays stopped: {result or 'no answer in time'}")
            continue
        done.append(key)
        log.warning("%s receives from %s again: a failover had stopped its receiver.", name, primary.name)
    _note(config, done, decided)
    return tuple(left)


def _take_demand_back(
    config: ClusterConfig, sessions: ConnectionPool, cluster: ClusterState, primary: ServerConfig
) -> None:
    """A failover that was killed had made replicas wait for acknowledgements, and did not open them.

    Whether one that was about to be opened was, only the server can tell: not if it follows who is the primary now.
    """
    begun = unfinished(config.manager_workdir, config.name)
    opened = opened_before(begun)
    for key in early_sources(begun):
        state = cluster.get(key)
        if state is None or state.writable:
            continue
        follows = state.channel_from(primary.hostname, primary.ip, primary.port) is not None
        if opened is not None and opened.key == key and not follows:
            continue
        try:
            with contextlib.closing(Journal(config.manager_workdir / begun[-1].journal)) as journal:
                wait_no_longer(journal, sessions.server(key))
            log.warning("%s waits for acknowledgements no longer: a failover had not come to open it.", state.name)
        except MhaError as error:
            log.warning("%s", error)


def _remember_the_closing(config: ClusterConfig, key: str, *, is_closed: bool) -> None:
    """A failover that was killed had closed the primary, or told it to, and opened nobody: no person did.

    One that is known to have closed it is why it is closed now, however long ago; one that was to may still be obeyed.
    """
    begun = unfinished(config.manager_workdir, config.name, key)
    told = told_to_close(begun, key)
    if told is None or opened_before(begun) is not None:
        return
    if told.event != CLOSED:
        LastWritable(config).may_close_late(key, told.at)
    elif is_closed:
        LastWritable(config).may_close_late(key, time.time())
    with contextlib.closing(Journal(config.manager_workdir / begun[-1].journal)) as journal:
        journal.record(OLD_PRIMARY, TAKEN_OVER, key)


def let_try_again(sessions: ConnectionPool, cluster: ClusterState, primary: ServerConfig) -> None:
    """Receivers that gave up on a primary which does not answer try again: what they meet now is a second voice.

    MySQL gives up after ten attempts, and a new primary may have died before its watch began. A receiver that was
    stopped stays so: somebody did it, and a failover on another host may have opened that server since.
    """
    for state in cluster.up:
        channel = state.channel_from(primary.hostname, primary.ip, primary.port)
        if channel is None or not channel.receiver_gave_up:
            continue
        if state.writable and not channel.applier_running:
            # Opened by a failover that began when its receiver had long given up.
            continue
        try:
            action = "let its receiver try again"
            start_replication(sessions.server(state.key), channel.name, ChannelThread.RECEIVER, action=action)
            log.info("%s had given up on %s: its receiver tries again.", state.name, primary.name)
        except ServerError as error:
            log.warning("%s", error)


def _note(config: ClusterConfig, done: list[str], decided: Settlement) -> None:
    if not done:
        return
    newest = journals(config.manager_workdir, config.name)[0]
    journal = Journal(newest)
    try:
        note_settled(journal, done)
    finally:
        journal.close()
