"""What moves over with the role: the address, the applications, events, semi-synchronous replication. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.check import Check, Severity
from ...model.state import ServerState
from ..cluster.openness import OPEN_TO_APPLICATIONS
from ..rule import Rule
from .subject import SwitchCase

ADDRESS = Rule(
    "address-hook",
    "Does something move the address that applications use (master_ip_online_change_script, vip_provider)?",
    "applications have to find the new primary by themselves",
    Severity.WARNING,
)
EVENTS = Rule(
    "events", "How many events run on the primary? They move to the target.", "nothing has to be done", Severity.INFO
)
SEMI_SYNC_SOURCE = Rule(
    "semi-sync-source",
    "If semi-synchronous replication is on: does the target have the plugin for a source?",
    "install the plugin that the primary has",
    Severity.WARNING,
)
RULES = (ADDRESS, EVENTS, SEMI_SYNC_SOURCE)


def checks(case: SwitchCase) -> Iterator[Check]:
    """Of the cluster, then of the two servers whose roles change."""
    script = case.config.master_ip_online_change_script
    movers = [script if name == "script" else name for name in case.config.vip_provider if name != "script" or script]
    text = f"{', '.join(map(str, movers))} moves the address"
    if not movers:
        text = "master_ip_online_change_script is not set, and there is no vip_provider"
    yield ADDRESS.judge(case.config.name, bool(movers), text)
    old, target = case.old_state, case.target_state
    if old is None or target is None or old.key == target.key:
        return
    yield _open(case, target)
    activity = case.activity.get(old.key)
    events = activity.events if activity else 0
    runs = old.event_scheduler.upper() in ("ON", "1")
    moved = f"; they move to {target.name}" if runs and events else ""
    yield EVENTS.yes(old.name, f"its event scheduler is {'on' if runs else 'off'}, with {events} enabled events{moved}")
    if not old.semi_sync.source_enabled:
        yield SEMI_SYNC_SOURCE.yes(target.name, "no semi-sync is in use")
    elif target.semi_sync.source_enabled is None:
        text = "it has no semi-synchronous plugin for a source, so its commits will wait for nobody"
        yield SEMI_SYNC_SOURCE.no(target.name, text)
    else:
        yield SEMI_SYNC_SOURCE.yes(target.name, "semi-synchronous replication goes on as it is")


def _open(case: SwitchCase, target: ServerState) -> Check:
    dialect = case.dialect(target.key)
    if shut := _shut(target):
        variable = dialect.variable(shut) if dialect else shut
        text = f"{variable} is on, so no application would get in"
        where = {"variable": variable, "server": target.hostname}
        return OPEN_TO_APPLICATIONS.no(target.name, text, Severity.ERROR, **where)
    return OPEN_TO_APPLICATIONS.yes(target.name, "nothing but read_only keeps applications out")


def _shut(target: ServerState) -> str:
    """What the switch itself does not clear; where there is no super_read_only, a former switch closed it so."""
    if target.offline_mode:
        return "offline_mode"
    return "transaction_read_only" if target.tx_read_only and target.super_read_only is not None else ""
