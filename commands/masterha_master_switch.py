"""masterha_master_switch: a failover that a person starts (--master_state=dead), a planned switch (alive)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from .shared.asking import ask
from .shared.beginning import begin
from .shared.failover_options import add_failover_options, add_places, failover_options, places
from .shared.options import OptionParser, add_conf, die, require_conf, run, tell_end
from .shared.switch_options import add_switch_options
from .shared.switch_options import switch as planned_switch
from .views.progress import bars


def parser() -> OptionParser:
    """The options of MHA's command, and --dry-run."""
    made = OptionParser(
        "masterha_master_switch",
        "Fail over a primary that is dead, now, by hand; or move the role of one that is alive.\n\n"
        "exit codes:\n   0  completed\n  10  a new primary is up, but something is left to do\n"
        "   1  anything else; a planned switch was taken back",
        "masterha_master_switch --master_state=dead --conf=/etc/mha/app1.cnf --dead_master_host=db1 --interactive=0\n"
        "  masterha_master_switch --master_state=alive --conf=/etc/mha/app1.cnf --new_master_host=db2 "
        "--orig_master_is_new_slave",
    )
    add_conf(made)
    add_places(made)
    made.add_argument(
        "--master_state", choices=("dead", "alive"), help="dead: the primary is down; alive: move its role"
    )
    made.add_argument("--dead_master_host", metavar="HOST", help="the primary that is down")
    made.add_argument("--dead_master_ip", metavar="ADDRESS", help="its address (default: resolved from its name)")
    made.add_argument(
        "--dead_master_port", type=int, metavar="PORT", help="its port (the only one of that host, or 3306)"
    )
    made.add_argument("--interactive", type=int, choices=(0, 1), default=1, help="ask before anything is changed (1)")
    made.add_argument(
        "--ssh_reachable", type=int, choices=(0, 1, 2), default=2, help="whether SSH to it works; 2: find out (2)"
    )
    made.add_argument("--dry_run", action="store_true", help="show the plan and change nothing")
    add_failover_options(made)
    add_switch_options(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    given = parser().parse(argv)
    if given.master_state is None:
        die("--master_state=<dead|alive> must be set.", 1)
    if given.master_state == "alive":
        return run(lambda: _end(planned_switch(given)))
    if not given.dead_master_host:
        die("--dead_master_host=<dead master's hostname> must be set.", 1)
    return run(lambda: switch(given))


def _end(code: int) -> int:
    from ..flows.engine.start import leave

    leave(code)


def switch(given: Namespace) -> int:
    """Run one failover and return its exit code."""
    from ..config import load_cluster

    config = load_cluster(require_conf(given), given.global_conf, places(given))
    begin(config, None if given.interactive else config.manager_log)
    from ..flows.deeds.failover import fail_over_by_hand
    from ..flows.engine.start import leave
    from ..replication.reporting.report import result_line

    with bars():
        outcome = fail_over_by_hand(
            config,
            failover_options(given),
            dead_host=given.dead_master_host,
            dead_port=given.dead_master_port,
            dry_run=given.dry_run,
            ask=ask if given.interactive else None,
        )
    if given.dry_run:
        print(outcome.summary)
    tell_end("" if given.dry_run else result_line(outcome), config.manager_log)
    leave(outcome.exit_code)


if __name__ == "__main__":
    raise SystemExit(main())
