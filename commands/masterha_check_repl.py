"""masterha_check_repl: is the cluster fit for a failover? Every named check, and one last line that says it all."""

from __future__ import annotations

from collections.abc import Sequence

from .shared.checking import HEALTHY, UNHEALTHY, Asked, add_check_options, check
from .shared.options import OptionParser, require_conf, run


def parser() -> OptionParser:
    """The options of MHA's command, and --output."""
    made = OptionParser(
        "masterha_check_repl",
        "Check that a cluster replicates well and is fit for a failover. Nothing is created or changed anywhere.\n\n"
        f"exit codes:\n  0  {HEALTHY}\n  1  {UNHEALTHY}\n  2  wrong options or configuration",
        "masterha_check_repl --conf=/etc/mha/app1.cnf",
    )
    add_check_options(made)
    made.add_argument(
        "--seconds_behind_master", type=int, default=30, metavar="SECONDS", help="how late a replica may be (30)"
    )
    made.add_argument(
        "--skip_check_ssh", "--skip_ssh_check", action="store_true", help="leave out every check of the hosts over SSH"
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    given = parser().parse(argv)
    asked = Asked(
        ssh=False,
        seconds_behind=given.seconds_behind_master,
        skip_hosts=given.skip_check_ssh,
        output=given.output,
        verbose=given.verbose,
    )
    return run(lambda: check(require_conf(given), given.global_conf, asked))


if __name__ == "__main__":
    raise SystemExit(main())
