"""What a manager that died in a failover on another host left: its journal is there, the servers tell the rest."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ...config import ClusterConfig, ServerConfig
from ...replication.cluster.pool import ConnectionPool
from ...replication.errors import RefusalError
from ...replication.model.refusal import Refusal
from ...replication.model.state import GtidKind, ServerState
from ...replication.model.topology import opened_by_another
from ...replication.planning.selection import bereaved_of, gtid_kind
from ...replication.reporting.job import FailoverJob

log = logging.getLogger("mha")


@dataclass(frozen=True)
class OpenedElsewhere:
    """The server at ``ip:port`` that another manager's failover had opened, and how the cluster replicates."""

    key: str
    name: str
    kind: GtidKind

    def is_begun_by(self, job: FailoverJob) -> None:
        """The job is to finish that failover; so is the next one, should this one be interrupted."""
        log.warning("%s takes writes: going on with another manager's failover.", self.name)
        facts = {"dead": job.dead.address, "kind": self.kind.value, "end_of_log": ""}
        job.past = (*job.past, job.journal.record("promote", "intent", self.key, **facts))


def opened_elsewhere(config: ClusterConfig, dead: ServerConfig, sessions: ConnectionPool) -> OpenedElsewhere | None:
    """Whether a failover of this dead primary has opened a server already; no other may be opened then.

    Raises RefusalError when the rest cannot be done here: without GTIDs only the journal knows the place in the new
    primary's log from which the other replicas must read.
    """
    cluster = sessions.observe(timeout=2.0)
    opened = opened_by_another(dead, cluster)
    if opened is None:
        return None
    followers = bereaved_of(dead, config, cluster)
    kind = gtid_kind(followers, config.use_gtid_auto_pos)
    if kind is GtidKind.POSITION and len(followers) > 1:
        raise RefusalError(interrupted_elsewhere(config, dead, opened))
    return OpenedElsewhere(opened.key, opened.name, kind)


def interrupted_elsewhere(config: ClusterConfig, dead: ServerConfig, opened: ServerState) -> Refusal:
    """Nothing here remembers who was opened, and how: another plan might well open a second one."""
    return Refusal(
        "unfinished-failover",
        f"{opened.name} takes writes and has stopped receiving from the dead primary {dead.name}: another manager's "
        f"failover of {config.name} was interrupted after opening it, and its journal is not in "
        f"{config.manager_workdir}.",
        "Go on with it where its journal is (mha failover --resume), or point the other replicas at "
        f"{opened.hostname} by hand; set read_only on it if nobody ever promoted it.",
    )
