"""The planned switch on the command line: masterha_master_switch --master_state=alive, and what it asks."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ...replication.planning.switch_options import SwitchOptions
from ..views.progress import bars
from ..views.terminal import print_visible
from .asking import ask
from .beginning import begin
from .failover_options import places
from .options import require_conf

if TYPE_CHECKING:
    from ...config import ClusterConfig
    from ...replication.reporting.approval import Ask
    from ...replication.switchover.outcome import SwitchOutcome


def add_switch_options(parser: argparse.ArgumentParser) -> None:
    """MHA's options of a planned switch, by their names."""
    add = parser.add_argument
    add("--orig_master_is_new_slave", action="store_true", help="alive: make the old primary a replica of the new one")
    add(
        "--running_updates_limit",
        type=int,
        default=1,
        metavar="SECONDS",
        help="alive: longest update allowed (1)",
    )
    add("--running_seconds_limit", type=int, default=10, metavar="SECONDS", help="alive: longest query (10)")
    add("--seconds_behind_master", type=int, default=30, metavar="SECONDS", help="alive: latest replica allowed (30)")
    add("--flush_tables", type=int, choices=(0, 1, 2), default=2, help="alive: close tables first; 2: ask (2)")
    add("--skip_lock_all_tables", action="store_true", help="alive: only set read_only, do not lock (not safe)")
    add(
        "--allow_super_writers",
        action="store_true",
        help="alive: switch even if accounts with SUPER can still write to the old primary (not safe)",
    )
    add("--check_only", action="store_true", help="alive: check every precondition and change nothing")


def switch_options(given: argparse.Namespace) -> SwitchOptions:
    """The parsed options as the switch wants them."""
    return SwitchOptions(
        new_master_host=given.new_master_host,
        new_master_port=given.new_master_port,
        orig_master_is_new_slave=given.orig_master_is_new_slave,
        running_updates_limit=given.running_updates_limit,
        running_seconds_limit=given.running_seconds_limit,
        seconds_behind_master=given.seconds_behind_master,
        flush_tables=_flush(given),
        skip_lock_all_tables=given.skip_lock_all_tables,
        check_only=given.check_only,
        allow_super_writers=given.allow_super_writers,
        remove_orig_master_conf=given.remove_dead_master_conf,
    )


def _flush(given: argparse.Namespace) -> bool:
    if given.flush_tables < 2 or not given.interactive or given.check_only or given.dry_run:
        return bool(given.flush_tables)
    print("It is better to execute FLUSH NO_WRITE_TO_BINLOG TABLES on the primary before the switch. Ok? (YES/no): ")
    return sys.stdin.readline().strip().lower() != "no"


def switch(given: argparse.Namespace) -> int:
    """masterha_master_switch --master_state=alive."""
    from ...config import load_cluster

    config = load_cluster(require_conf(given), given.global_conf, places(given))
    # MHA's switch speaks to the terminal, whoever started it.
    log_file = None if given.interactive else config.manager_log
    begin(config, log_file, speak=True)
    options = switch_options(given)
    outcome = act(config, options, dry_run=given.dry_run, ask=ask if given.interactive else None)
    if outcome.checked_only:
        print_visible(outcome.summary)
    return outcome.exit_code


def act(config: ClusterConfig, options: SwitchOptions, *, dry_run: bool, ask: Ask | None) -> SwitchOutcome:
    """Run one planned switch, beside Prefect; ``ask`` puts the plan to a person."""
    from ...flows.deeds.switchover import switch_by_hand

    with bars():
        return switch_by_hand(config, options, dry_run=dry_run, ask=ask)
