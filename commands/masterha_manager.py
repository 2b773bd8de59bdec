"""masterha_manager: watch the primary of one application, and fail over when it dies; ends after one failover."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from .shared.beginning import watching
from .shared.failover_options import add_failover_options, add_places, add_start_options, failover_options
from .shared.options import OptionParser, add_conf, run, tell_end


def parser() -> OptionParser:
    """Every option of MHA's command."""
    made = OptionParser(
        "masterha_manager",
        "Watch the primary of one application and fail over when it dies.\n\n"
        "exit codes:\n   0  failover completed\n  10  a new primary is up, but something is left to do\n"
        "   2  the options or the configuration are wrong\n   1  anything else",
        "nohup masterha_manager --conf=/etc/mha/app1.cnf --ignore_last_failover </dev/null >/dev/null 2>&1 &",
    )
    add_conf(made)
    add_places(made)
    add_start_options(made)
    add_failover_options(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    given = parser().parse(argv)
    return run(lambda: manage(given, go_on=False))


def manage(given: Namespace, *, go_on: bool) -> int:
    """Watch until a failover was done, or on and on with ``go_on``; returns the exit code."""
    with watching(given, on_terminal=False) as begun:
        # What acts takes a second to import; everything that can refuse has refused before it.
        from ..flows.engine.start import leave
        from ..flows.manager.manager import Manager
        from ..flows.manager.options import ManagerOptions

        options = ManagerOptions(
            failover=failover_options(given),
            go_on=go_on,
            ignore_fail_on_start=given.ignore_fail_on_start,
            skip_check_ssh=given.skip_check_ssh,
            wait_on_monitor_error=given.wait_on_monitor_error,
            wait_on_failover_error=given.wait_on_failover_error,
        )
        manager = Manager(begun.load, options, begun.stop, looked=begun.looked)
        code = manager.run()
    tell_end(manager.last_words, begun.config.manager_log)
    leave(code)


if __name__ == "__main__":
    raise SystemExit(main())
