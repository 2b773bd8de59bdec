"""filter_mysqlbinlog: obsolete; passes its input through unchanged."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from .shared.options import OptionParser, run


def main(argv: Sequence[str] | None = None) -> int:
    """The command; exit 0 when everything was passed on."""
    OptionParser(
        "filter_mysqlbinlog",
        "Obsolete: passes standard input on unchanged. It once took out the ROLLBACK that mysqlbinlog adds where\n"
        "a log was cut within a transaction; logs are only cut between transactions now.",
        "mysqlbinlog saved.binlog | filter_mysqlbinlog | mysql",
    ).parse(argv)
    print("filter_mysqlbinlog is obsolete: it passes its input on unchanged.", file=sys.stderr, flush=True)
    return run(_pass_on)


def _pass_on() -> int:
    shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
