"""masterha_master_monitor: watch the primary of one application, and end when it is dead; no failover."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from .shared.beginning import watching
from .shared.failover_options import add_places, add_start_options
from .shared.options import OptionParser, add_conf, require_conf, run, tell_end


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
    with watching(given, on_terminal=bool(given.interactive)) as begun:
        # What acts takes a second to import; everything that can refuse has refused before it.
        from ..flows.engine.start import leave
        from ..flows.manager.options import ManagerOptions
        from ..flows.master_monitor import MASTER_DEAD, MasterMonitor

        options = ManagerOptions(
            ignore_fail_on_start=given.ignore_fail_on_start,
            skip_check_ssh=given.skip_check_ssh,
            wait_on_monitor_error=given.wait_on_monitor_error,
        )
        watcher = MasterMonitor(begun.load, options, begun.stop, looked=begun.looked)
        code = watcher.run()
    if code != MASTER_DEAD:  # of that it has spoken
        tell_end(watcher.last_words, begun.config.manager_log)
    leave(code)


if __name__ == "__main__":
    raise SystemExit(main())
