"""Purge the relay logs of a cluster's replicas, one after the other, and none that another replica may need."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ....config import ClusterConfig, ServerConfig
from ...cluster.pool import ConnectionPool
from ...deadline import Deadline
from ...errors import MhaError, RefusalError
from ...model.refusal import Refusal
from ...model.state import ClusterState, ServerState
from ...model.topology import find_primary
from ...mysql.advisory_locks import end_strangers
from ...mysql.server import Server
from .files import shell_of
from .purge import LOOK_EVERY, Purged, purge_replica, why_not

log = logging.getLogger("mha")

#: Seconds at most for the other replicas to receive what one has executed.
OTHERS_WAIT = 5.0
#: Kept on the primary while its replicas are purged.
PURGE_LOCK = "MHA_Purge_Relay_Logs"


@dataclass(frozen=True)
class PurgePlan:
    """Which replicas of a cluster to purge, in this order, and which not, with the reason."""

    primary: ServerConfig
    replicas: tuple[ServerConfig, ...]
    left_out: tuple[tuple[str, str], ...]


def plan_purge(config: ClusterConfig, cluster: ClusterState) -> PurgePlan | Refusal:
    """The replicas whose relay logs may be purged, in the configuration's order. Pure.

    Not while the primary is away: then what a replica keeps is what another one is levelled from.
    """
    primary = find_primary(config, cluster)
    if isinstance(primary, Refusal):
        return primary
    if cluster.get(primary.address) is None:
        reason = next((d.reason for d in cluster.down if d.key == primary.address), "")
        return Refusal(
            "primary-away",
            f"The primary {primary.name} does not answer, so every relay log is kept: a failover may need it.",
            "Purge again when it is back, or after the failover.",
            (reason,) if reason else (),
        )
    replicas, left_out = [], [(d.name, d.reason) for d in cluster.down]
    for server in config.servers:
        state = cluster.get(server.address)
        if state is None or server.address == primary.address:
            continue
        refusal = why_not(state)
        # One that a killed run left with relay_log_purge=1 can be told from its files alone, when its turn comes.
        if refusal is None or refusal.code == "purges-itself":
            replicas.append(server)
        else:
            left_out.append((state.name, str(refusal)))
    return PurgePlan(primary, tuple(replicas), tuple(left_out))


def lacking(primary: ServerConfig, mine: ServerState, others: ClusterState) -> tuple[str, ...]:
    """Which other replicas of this primary have not received all that this one executed. Pure.

    Should the primary die now, those relay logs would be the nearest place where they could get the rest.
    """
    done = mine.channel_from(primary.hostname, primary.ip, primary.port)
    if done is None or done.executed is None:
        return ()
    behind = []
    for other in others.up:
        channel = other.channel_from(primary.hostname, primary.ip, primary.port)
        if other.key == mine.key or channel is None:
            continue
        if channel.received is None or channel.received < done.executed:
            behind.append(f"{other.name} has received up to {channel.received}")
    return tuple(behind)


class ClusterPurge:
    """The replicas of one cluster, one after the other. ``with`` keeps a second run of the same out.

    Raises RefusalError when nothing may be purged, and when the same is running elsewhere; ServerError.
    """

    def __init__(self, config: ClusterConfig, sessions: ConnectionPool, stop: threading.Event) -> None:
        self._config, self._sessions, self._stop = config, sessions, stop
        decided = plan_purge(config, sessions.observe())
        if isinstance(decided, Refusal):
            raise RefusalError(decided)
        self.plan = decided
        self._lock = Server(decided.primary)

    def __enter__(self) -> ClusterPurge:
        end_strangers(self._lock, PURGE_LOCK)
        if self._lock.scalar("SELECT GET_LOCK(%s, 0)", (PURGE_LOCK,), action="take the lock of a purge") != 1:
            self._lock.close()
            raise RefusalError.of(
                "purge-running",
                f"The relay logs of {self._config.name} are being purged by another run.",
                "Two replicas of one cluster are never purged at once; wait for its end.",
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def purge(self, replica: ServerConfig) -> Purged:
        """Purge one replica once all others have received what it executed. Raises as `purge_replica`, RefusalError."""
        deadline, server = Deadline(OTHERS_WAIT), self._sessions.server(replica.address)
        mine = server.observe()
        while True:
            now = self._sessions.observe()
            if isinstance(decided := plan_purge(self._config, now), Refusal):
                raise RefusalError(decided)
            behind = lacking(decided.primary, mine, now)
            if not behind:
                break
            if deadline.over or self._stop.is_set():
                raise RefusalError.of(
                    "others-behind",
                    f"{replica.name} keeps its relay logs, which another replica may need: {', '.join(behind)}.",
                    "Fix the other one's replication first.",
                )
            time.sleep(LOOK_EVERY)
        return purge_replica(server, shell_of(self._sessions.host(replica.address)), self._stop)


@dataclass(frozen=True)
class ClusterPurged:
    """What came of all replicas of a cluster; ``left_out`` are names with the reason."""

    purged: tuple[Purged, ...]
    left_out: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        freed = sum(each.bytes for each in self.purged)
        text = f"{len(self.purged)} replicas purged, {freed} bytes freed"
        return f"{text}; {len(self.left_out)} left out" if self.left_out else text

    def rows(self) -> list[dict[str, Any]]:
        """Plain data for JSON and for table artifacts: server, removed (relay logs), bytes, seconds, note."""
        done = [
            {"server": p.name, "removed": p.removed, "bytes": p.bytes, "seconds": round(p.seconds, 3), "note": p.note}
            for p in self.purged
        ]
        out = [
            {"server": name, "removed": 0, "bytes": 0, "seconds": 0.0, "note": f"left out: {why}"}
            for name, why in self.left_out
        ]
        return done + out


def purge_cluster(
    config: ClusterConfig,
    stop: threading.Event,
    purge_one: Callable[[ClusterPurge, ServerConfig], Purged] = ClusterPurge.purge,
) -> ClusterPurged:
    """Purge every replica of a cluster, one after the other; one that cannot be is left out and told.

    Raises RefusalError when none may be, ServerError.
    """
    sessions = ConnectionPool(config)
    try:
        with ClusterPurge(config, sessions, stop) as run:
            purged, left_out = [], list(run.plan.left_out)
            for name, why in left_out:
                log.warning("Left out: %s: %s", name, why)
            for replica in run.plan.replicas:
                if stop.is_set():
                    left_out.append((replica.name, "stopped by a signal"))
                    continue
                try:
                    purged.append(purge_one(run, replica))
                    log.info("%s", purged[-1])
                except MhaError as error:
                    why = str(error.refusal) if isinstance(error, RefusalError) else str(error)
                    left_out.append((replica.name, why))
                    log.warning("Left out: %s: %s", replica.name, why)
            return ClusterPurged(tuple(purged), tuple(left_out))
    finally:
        sessions.close()
