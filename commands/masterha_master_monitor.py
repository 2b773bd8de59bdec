"""masterha_master_monitor: watch the primary of one application, and end when it is dead; no failover."""

from __future__ import annotations

import logging
import threading
from argparse import Namespace
from collections.abc import Sequence
from functools import partial

from ..replication.notify.manager_log import secrets_of, setup_logging
from .shared.failover_options import add_places, add_start_options, places, watch_parent_signals
from .shared.options import OptionParser, add_conf, require_conf, run, tell_end

log = logging.getLogger("mha")


def parser() -> OptionParser:
    """The options of MHA's command."""
    made = OptionParser(
        "masterha_master_monitor",
        "Watch the primary of one application and end when it is dead. Nothing is changed; what follows is up to\n"
        "the caller.\n\n"
        "exit codes:\n  20  the primary is dead\n   0  stopped by a signal\n"
        "   2  the options or the configuration are wrong\n   1  anything else",
        "masterha_master_monitor --conf=/etc/mha/app1.cnf; [ $? -eq 20 ] && page-the-dba",
    )
    add_conf(made)
    add_places(made)
    add_start_options(made)
    made.add_argument("--interactive", type=int, choices=(0, 1), default=0, help="1: log to the terminal (0)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    given = parser().parse(argv)
    require_conf(given)
    return run(lambda: monitor(given))


def monitor(given: Namespace) -> int:
    """Watch until the primary is dead."""
    from ..config import load_cluster
    from ..replication.cluster.first_look import FirstLook
    from ..replication.memory.manager_lock import ManagerLock
    from ..replication.memory.workdir import make_workdir

    load = partial(load_cluster, given.conf, given.global_conf, places(given))
    config = load()
    make_workdir(config.manager_workdir)
    setup_logging(None if given.interactive else config.manager_log, config.log_level, secrets_of(config))
    for warning in config.warnings:
        log.warning("%s", warning)
    stop = threading.Event()
    watch_parent_signals(stop)
    with ManagerLock(config.manager_workdir, config.name):
        looked = FirstLook(config)
        # What acts takes a second to import; everything that can refuse has refused before it.
        from ..flows.engine.start import leave
        from ..flows.manager.options import ManagerOptions
        from ..flows.master_monitor import MASTER_DEAD, MasterMonitor

        options = ManagerOptions(
            ignore_fail_on_start=given.ignore_fail_on_start,
            skip_check_ssh=given.skip_check_ssh,
            wait_on_monitor_error=given.wait_on_monitor_error,
        )
        watcher = MasterMonitor(load, options, stop, looked=looked)
        code = watcher.run()
    if code != MASTER_DEAD:  # of that it has spoken
        tell_end(watcher.last_words, config.manager_log)
    leave(code)


if __name__ == "__main__":
    raise SystemExit(main())
