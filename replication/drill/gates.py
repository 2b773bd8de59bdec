"""What is to be known before a drill: checks, holds, the last failover, the manager, who would start it again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ...config import ClusterConfig, ServerConfig
from ..checks.facts import Facts
from ..cluster.pool import ConnectionPool
from ..errors import DeadlineExceeded, HostError, RefusalError
from ..memory.failover_flags import FailoverFlags
from ..memory.health_file import ManagerStatus
from ..memory.held_servers import HeldServers
from ..memory.manager_view import observe_manager
from ..model.check import Check, failed
from ..model.refusal import Refusal
from ..planning.readiness import Readiness
from ..probes.host import ServerPaths
from .fault import remember_start
from .kinds import DrillKind
from .past import open_drill, past_drills
from .plan import Gates


def gates_of(
    config: ClusterConfig,
    kind: DrillKind,
    facts: Facts,
    checks: Iterable[Check],
    ready: Readiness,
) -> Gates:
    """Everything that `plan.decide` asks for. Raises OSError."""
    workdir, name = config.manager_workdir, config.name
    bad = tuple(f"{check.name}: {check}" for check in failed(tuple(checks)))
    held = tuple(hold.name for hold in HeldServers.of(config).current())
    primary = facts.primary
    state = facts.cluster.get(primary.address) if primary is not None else None
    takes = primary is not None and state is not None and state.writable
    open_ones = tuple(
        s.name for s in facts.cluster.up if primary is not None and s.key != primary.address and s.writable
    )
    cut, going = open_drill(workdir, name), next((each for each in past_drills(workdir, name) if each.alive), None)
    return Gates(
        config,
        kind,
        datetime.now(),
        primary.address if primary is not None and takes else "",
        primary.name if primary is not None and takes else "",
        ready.candidate,
        bad,
        ready.blockers,
        held,
        FailoverFlags(workdir, name).complete_age(),
        no_manager(config) if kind is not DrillKind.SWITCH else "",
        open_ones,
        # With nobody held and no check failing nothing of it stands open.
        str(cut) if cut is not None and (held or bad or not takes) else "",
        f"a drill {going.kind} goes on in process {going.pid}" if going is not None else "",
    )


def no_manager(config: ClusterConfig) -> str:
    """Why no manager on this host watches the cluster now; empty where one does."""
    seen = observe_manager(config.manager_workdir, config.name)
    if seen.status is ManagerStatus.PING_OK:
        return ""
    return f"no manager of this host watches the cluster ({seen.status.name})"


def note_start(config: ClusterConfig, primary: ServerConfig, places: ServerPaths, sessions: ConnectionPool) -> None:
    """It is noted on the primary's host how its mysqld runs. Raises RefusalError where nobody could start it again."""
    try:
        remember_start(sessions.host(primary.address), primary, places)
    except (HostError, DeadlineExceeded) as error:
        sentence = f"No drill of {config.name} is held: nobody would start its mysqld again: {error}."
        raise RefusalError(Refusal("not-startable", sentence, "Set start_command of its block.")) from error
