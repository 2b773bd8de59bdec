"""A planned switch that was interrupted: what its journal says, and what may be done about it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..actions.scheduled_events import ScheduledEvent
from ..local.processes import process_alive
from ..memory.failover_flags import FailoverFlags
from ..memory.journal import SWITCH, Entry, unfinished
from ..model.position import BinlogPosition
from ..model.state import ClusterState, GtidKind
from ..planning.role_plan import ReplicaRecovery
from .job import HandedOver, Preparation
from .plan import SwitchPlan
from .write_lock import EndOfLog, FormerSettings

#: The columns of a replica's status that tell how it connects; the others are of no use later.
_LIKE = (
    "Source_Host Master_Host Source_User Master_User Connect_Retry Source_SSL_Allowed Master_SSL_Allowed "
    "Source_SSL_CA_File Master_SSL_CA_File Source_SSL_Verify_Server_Cert Master_SSL_Verify_Server_Cert "
    "Get_Source_public_key Get_master_public_key"
).split()


@dataclass(frozen=True)
class InterruptedSwitch:
    """A switch that began and did not end: its plan, what it had read, and how far it got.

    ``ready`` is None before writes were touched; ``handed`` None before the new primary was about to be opened.
    """

    plan: SwitchPlan
    ready: Preparation | None
    handed: HandedOver | None
    entries: tuple[Entry, ...]


def facts_of(plan: SwitchPlan) -> dict[str, Any]:
    """What the journal keeps of a plan."""
    return {
        "old": plan.old,
        "old_name": plan.old_name,
        "new": plan.new_primary,
        "new_name": plan.new_primary_name,
        "kind": plan.kind.value,
        "followers": [[x.key, x.name, x.channel, x.delay] for x in plan.levelings],
        "orig_is_new_replica": plan.orig_is_new_replica,
        "repl_user": plan.repl_user,
    }


def facts_of_ready(ready: Preparation) -> dict[str, Any]:
    """What the journal keeps of what was read before writes were touched."""
    return {
        "former": ready.former.as_dict(),
        "target_former": ready.target_former.as_dict(),
        "events": [asdict(event) for event in ready.events],
        "old_roles": dict(ready.old_roles),
        "target_roles": dict(ready.target_roles),
        "like": {name: ready.like[name] for name in _LIKE if name in ready.like},
    }


def interrupted_switch(workdir: Path, app: str) -> InterruptedSwitch | None:
    """The switch of this application that died on this host and is to be ended first.

    None when there is none, when its process still runs, or when a failover has come after it.
    """
    past = unfinished(workdir, app, kind=SWITCH)
    began = next((e for e in reversed(past) if (e.step, e.event) == (SWITCH, "began")), None)
    if began is None or began.read(lambda facts: process_alive(int(facts["pid"]))):
        return None
    entries = tuple(e for e in past if e.at >= began.at)
    age = FailoverFlags(workdir, app).complete_age()
    if age is not None and age < time.time() - began.at:
        return None
    held = next((e for e in entries if (e.step, e.event) == ("hold", "intent")), None)
    opened = next((e for e in entries if (e.step, e.event) == ("open", "intent")), None)
    return InterruptedSwitch(
        began.read(partial(_plan, app)),
        held.read(_ready) if held else None,
        opened.read(_handed) if opened else None,
        past,
    )


def may_give_back(cut: InterruptedSwitch, cluster: ClusterState) -> str:
    """Why the old primary must not take writes again, in words; empty when it may.

    Whatever happened since, two servers that take writes must not come of it.
    """
    for state in cluster.up:
        if state.key != cut.plan.old and state.writable:
            return f"{state.name} takes writes now"
    old = cluster.get(cut.plan.old)
    if old is None:
        return f"{cut.plan.old_name} cannot be reached"
    if old.channels:
        return f"{old.name} replicates from {old.sources} now"
    missing = [d for d in cluster.down if d.key == cut.plan.new_primary]
    if missing and cut.handed is not None:
        return f"{cut.plan.new_primary_name} may have been opened, and cannot be reached: {missing[0].reason}"
    return ""


def _plan(app: str, facts: Mapping[str, Any]) -> SwitchPlan:
    kind = GtidKind(facts["kind"])
    return SwitchPlan(
        cluster=app,
        old=facts["old"],
        old_name=facts["old_name"],
        new_primary=facts["new"],
        new_primary_name=facts["new_name"],
        kind=kind,
        levelings=tuple(
            ReplicaRecovery(key, name, channel, kind, None, None, delay=delay)
            for key, name, channel, delay in facts["followers"]
        ),
        orig_is_new_replica=facts["orig_is_new_replica"],
        repl_user=facts["repl_user"],
        left_out=(),
        candidates=(),
        checks=(),
    )


def _ready(facts: Mapping[str, Any]) -> Preparation:
    return Preparation(
        former=FormerSettings(**facts["former"]),
        target_former=FormerSettings(**facts["target_former"]),
        target_gtids=None,
        events=tuple(ScheduledEvent(**event) for event in facts["events"]),
        old_roles=facts["old_roles"],
        target_roles=facts["target_roles"],
        like=facts["like"],
    )


def _handed(facts: Mapping[str, Any]) -> HandedOver:
    target_end = facts["target_end"]
    end = EndOfLog(BinlogPosition.parse(facts["end"]), facts["gtids"])
    return HandedOver(end, BinlogPosition.parse(target_end) if target_end else None, 0.0, ())
