"""The options that every command with a failover in it shares, and what becomes of them."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...replication.planning.plan import FailoverOptions


def add_failover_options(parser: argparse.ArgumentParser) -> None:
    """MHA's failover options, by their names."""
    add = parser.add_argument
    add(
        "--last_failover_minute",
        type=int,
        default=480,
        metavar="MINUTES",
        help="refuse a second failover so soon (480)",
    )
    add("--ignore_last_failover", action="store_true", help="go on although the last failover failed or was just now")
    add("--wait_on_failover_error", type=float, default=0.0, metavar="SECONDS", help="wait before exiting on an error")
    add(
        "--remove_dead_master_conf",
        "--remove_orig_master_conf",
        action="store_true",
        help="after full success, delete the dead primary's block from the configuration file",
    )
    add("--skip_save_master_binlog", action="store_true", help="do not save the dead primary's binary log")
    add("--skip_change_master", action="store_true", help="leave the other replicas as they are")
    add("--skip_disable_read_only", action="store_true", help="leave read_only on the promoted server")
    add(
        "--wait_until_gtid_in_sync",
        type=int,
        choices=(0, 1),
        default=1,
        help="with GTIDs, wait until every replica has caught up (1)",
    )
    add("--ignore_binlog_server_error", action="store_true", help="accepted; a failing binlog server never stops us")
    add(
        "--salvage_policy",
        choices=("strict", "safe", "availability"),
        help="what to do when transactions are or may be lost; overrides the configured one",
    )
    add("--new_master_host", metavar="HOST", help="promote this server and no other")
    add("--new_master_port", type=int, metavar="PORT", help="its port (the only one of that host, or 3306)")


def failover_options(given: argparse.Namespace) -> FailoverOptions:
    """The parsed options as the failover wants them."""
    from ...replication.planning.plan import FailoverOptions

    return FailoverOptions(
        new_master_host=given.new_master_host,
        new_master_port=given.new_master_port,
        skip_save_master_binlog=given.skip_save_master_binlog,
        skip_change_master=given.skip_change_master,
        skip_disable_read_only=given.skip_disable_read_only,
        remove_dead_master_conf=given.remove_dead_master_conf,
        wait_until_gtid_in_sync=bool(given.wait_until_gtid_in_sync),
        ignore_last_failover=given.ignore_last_failover,
        last_failover_minute=given.last_failover_minute,
        salvage_policy=given.salvage_policy,
        ssh_reachable={0: False, 1: True}.get(getattr(given, "ssh_reachable", 2)),
    )


def add_places(parser: argparse.ArgumentParser) -> None:
    """Where state files and the log go, over what the configuration says."""
    parser.add_argument(
        "--manager_workdir", "--workdir", type=Path, metavar="DIR", help="where state files and journals go"
    )
    parser.add_argument("--manager_log", "--log_output", type=Path, metavar="FILE", help="the manager's log")


def add_start_options(parser: argparse.ArgumentParser) -> None:
    """What MHA's manager and its monitor take for their start."""
    add = parser.add_argument
    add("--wait_on_monitor_error", type=float, default=0.0, metavar="SECONDS", help="wait before exiting")
    add(
        "--ignore_fail_on_start",
        action="store_true",
        help="start although checks of servers with ignore_fail=1 fail",
    )
    add(
        "--skip_check_ssh",
        "--skip_ssh_check",
        action="store_true",
        help="leave the checks of hosts over SSH out of those at the start",
    )


def places(given: argparse.Namespace) -> dict[str, str]:
    """The configuration's parameters that the command line overrides."""
    named = {"manager_workdir": given.manager_workdir, "manager_log": given.manager_log}
    return {name: str(path) for name, path in named.items() if path is not None}


def watch_parent_signals(stop: threading.Event) -> None:
    """SIGTERM, SIGINT, SIGHUP and SIGQUIT ask for a clean end: the watch ends, a running failover is finished."""
    import signal

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda *_: stop.set())
