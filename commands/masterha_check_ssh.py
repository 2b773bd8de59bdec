"""masterha_check_ssh: does the manager get into every host, and can it read and write there what a rescue needs?"""

from __future__ import annotations

from collections.abc import Sequence

from .shared.checking import NOT_PASSED, PASSED, Asked, add_check_options, check
from .shared.options import OptionParser, require_conf, run


def parser() -> OptionParser:
    """The options of MHA's command, --all-pairs and --output."""
    made = OptionParser(
        "masterha_check_ssh",
        "Check SSH from here to every host as its configured user, and the files that are needed there.\n"
        "No host needs SSH to another one; --all-pairs checks that too, for scripts of your own.\n\n"
        f"exit codes:\n  0  {PASSED}\n  1  {NOT_PASSED}\n  2  wrong options or configuration",
        "masterha_check_ssh --conf=/etc/mha/app1.cnf",
    )
    add_check_options(made)
    made.add_argument(
        "--all_pairs", action="store_true", help="also from every host to every other, with the hosts' own ssh and keys"
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    given = parser().parse(argv)
    asked = Asked(replication=False, all_pairs=given.all_pairs, output=given.output, verbose=given.verbose)
    return run(lambda: check(require_conf(given), given.global_conf, asked))


if __name__ == "__main__":
    raise SystemExit(main())
