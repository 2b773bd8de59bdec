"""One look at one cluster: frozen, and all that a screen shows of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ....config import ClusterConfig
from ....replication.model.refusal import Refusal
from ....replication.model.state import ClusterState
from ....replication.model.topology import find_primary
from ....replication.planning.readiness import Readiness
from ....replication.reporting.history.incident import Incident
from ....replication.reporting.history.text import line
from ..topology import topology_json


@dataclass(frozen=True)
class ServerLine:
    """One server: its name, role, seconds behind (empty where nobody knows), threads, source, and whether it is ill."""

    server: str
    role: str
    behind: str = ""
    threads: str = ""
    source: str = ""
    read_only: str = ""
    ill: bool = False


@dataclass(frozen=True)
class Glance:
    """What one look saw. ``at`` is seconds since the epoch, 0 before the first; ``failed`` why there is nothing newer.

    ``ready`` is None where nobody could tell. ``runbook`` is the heading of the runbook that helps with what is wrong.
    """

    cluster: str
    conf: Path
    at: float = 0.0
    primary: str = ""
    servers: tuple[ServerLine, ...] = ()
    ready: bool | None = None
    readiness: str = ""
    manager: str = ""
    managers: str = ""
    held: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    last: str = ""
    failed: str = ""
    runbook: str = ""

    @property
    def rank(self) -> int:
        """The worse, the lower: not seen, no primary or a server ill, not ready, something held, well."""
        if self.failed or not self.at:
            return 0
        if not self.primary or any(each.ill for each in self.servers):
            return 1
        if not self.ready:
            return 2
        return 3 if self.held or self.troubles else 4

    def not_seen(self, why: str) -> Glance:
        """The last look, and why there is none since."""
        return replace(self, failed=why)


def glance(
    config: ClusterConfig,
    conf: Path,
    at: float,
    cluster: ClusterState,
    readiness: Readiness,
    *,
    manager: str = "",
    managers: str = "",
    held: Iterable[str] = (),
    last: Incident | None = None,
) -> Glance:
    """From what was asked to what is shown."""
    primary = find_primary(config, cluster)
    found = topology_json(config, cluster)
    servers = tuple(_line(row) for row in found["servers"])
    troubles = [str(primary)] if isinstance(primary, Refusal) else []
    troubles += [down.reason for down in cluster.down]
    troubles += [f"{row['server']}: {said}" for row in found["servers"] for said in row.get("troubles", ())]
    named = "" if isinstance(primary, Refusal) else primary.name
    holds = tuple(held)
    return Glance(
        config.name,
        conf,
        at,
        named,
        servers,
        readiness.ready,
        str(readiness),
        manager,
        managers,
        holds,
        tuple(troubles),
        line(last) if last is not None else "no failover or switch is recorded on this host",
        runbook=_runbook(named, servers, readiness, holds),
    )


def _line(row: dict[str, object]) -> ServerLine:
    role = str(row["role"])
    behind, receiver = row.get("seconds_behind"), row.get("receiver")
    threads = f"{receiver}/{'Yes' if row.get('applier') else 'No'}" if receiver else ""
    ill = role in ("down", "DEAD PRIMARY") or (bool(receiver) and threads != "Yes/Yes")
    closed = {None: "", True: "yes", False: "no"}[row.get("read_only")]  # type: ignore[index]
    said = "" if behind is None else f"{behind} s"
    return ServerLine(str(row["server"]), role, said, threads, str(row.get("source") or ""), closed, ill)


def _runbook(primary: str, servers: Iterable[ServerLine], readiness: Readiness, held: tuple[str, ...]) -> str:
    if not primary or any(each.role == "DEAD PRIMARY" for each in servers):
        return "When is a primary dead"
    if held:
        return "The old primary comes back"
    if not readiness.ready:
        return "Refusals"
    return "What a failover does"
