"""save_binary_logs: save what the binary logs of a server on this host hold from a place on."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ..replication.binlog.cutter import Cut
from ..replication.binlog.events import MAGIC
from ..replication.binlog.reader import LogReader
from ..replication.maintenance.node.client_programs import write_text
from ..replication.maintenance.node.logs import (
    LogRow,
    binary_logs,
    log_index_of,
    lost_behind,
    newest_binary_log,
    save_from,
    whole_file,
)
from ..replication.model.position import BinlogPosition
from .shared.arguments import add_client_options, client
from .shared.options import OptionParser, die, run, say_without_effect

NOTHING_AFTER = 10
DIRECTORIES = "/var/lib/mysql,/var/log/mysql"
WITHOUT_EFFECT = ("relay_log_info", "oldest_version", "manager_version", "skip_filter", "debug")


def parser() -> OptionParser:
    """The options of MHA's command."""
    made = OptionParser(
        "save_binary_logs",
        "Save every complete transaction that the binary logs of this host hold from a place on, also of a server\n"
        "that crashed, into one file that mysqlbinlog reads.\n\n"
        "exit codes:\n   0  saved (--command=test: it could be)\n  10  no event after the start position\n"
        "   1  anything else",
        "save_binary_logs --command=save --binlog_dir=/var/lib/mysql --start_file=mysql-bin.000012 --start_pos=8843 "
        "--output_file=/var/tmp/saved.binlog",
    )
    add = made.add_argument
    add("--command", choices=("test", "save"), help="save, or only test whether it would be possible")
    add("--start_file", metavar="LOG", help="name of the binary log to begin in")
    add("--start_pos", type=int, metavar="BYTES", help="place in it to begin at: what a replica executed")
    add("--binlog_dir", metavar="DIR[,DIR]", help=f"where the logs are; the first that has it ({DIRECTORIES})")
    add("--binlog_prefix", metavar="NAME", help="name of the logs without number; test needs no --start_file with it")
    add("--output_file", type=Path, metavar="FILE", help="the file to write; one that is there is replaced")
    add("--datadir", type=Path, metavar="DIR", help="what a relative --binlog_dir is relative to")
    add("--handle_raw_binlog", type=int, choices=(0, 1), default=1, help="0: write mysqlbinlog's text, not a log (1)")
    add("--disable_log_bin", type=int, choices=(0, 1), default=0, help="1: such a text is to be executed unlogged (0)")
    add_client_options(made, "mysqlbinlog, for the text")
    add("--relay_log_info", metavar="FILE", help="no effect")
    add("--oldest_version", metavar="VERSION", help="no effect: a log tells itself what it is")
    add("--manager_version", metavar="VERSION", help="no effect")
    add("--skip_filter", metavar="0|1", help="no effect: nothing is filtered")
    add("--debug", nargs="?", const="1", help="no effect")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    given = parser().parse(argv)
    if given.command is None:
        die("--command=test|save must be set.", 1)
    if given.start_file is None and not (given.command == "test" and given.binlog_prefix):
        die("--start_file=<binary log> must be set.", 1)
    if given.command == "save" and given.start_pos is None:
        die("--start_pos=<place in the binary log> must be set.", 1)
    if given.output_file is None:
        die("--output_file=<file to write> must be set.", 1)
    if given.start_file and given.binlog_prefix and given.start_file.rpartition(".")[0] != given.binlog_prefix:
        die(f"--start_file={given.start_file} is not a log of --binlog_prefix={given.binlog_prefix}.", 1)
    say_without_effect(given, WITHOUT_EFFECT)
    return run(lambda: test(given) if given.command == "test" else save(given))


def test(given: Namespace) -> int:
    """Whether the logs can be read and the output be written."""
    first = given.start_file or newest_binary_log(directories(given), given.binlog_prefix)
    logs = binary_logs(directories(given), first)
    with logs.files[0].open() as stream:
        described = LogReader(stream, name=str(logs.paths[0])).format
    if not given.handle_raw_binlog:
        client(given).reader(described.vendor)
    probe = given.output_file.with_name(f"{given.output_file.name}.test")
    with whole_file(probe):
        pass
    probe.unlink()
    print(f"Binary logs found at {logs.directory}, up to {logs.files[-1].name}; {probe.parent} can be written.")
    return 0


def save(given: Namespace) -> int:
    """Save, and tell what is saved and where it ends."""
    log_index_of(given.start_file)
    logs = binary_logs(directories(given), given.start_file)
    start = BinlogPosition(given.start_file, max(given.start_pos, len(MAGIC)))
    raw = given.output_file if given.handle_raw_binlog else given.output_file.with_name(given.output_file.name + ".raw")
    try:
        with whole_file(raw, logs.paths) as out:
            done = save_from(logs, start, out)
            if not done.transactions:
                raise _Nothing(done)
        if not given.handle_raw_binlog:
            with whole_file(given.output_file, logs.paths) as out:
                write_text(raw, client(given), out, disable_log_bin=bool(given.disable_log_bin))
    except _Nothing as nothing:
        if tell_end(logs, nothing.cut):
            return 1
        print(f"Event not exists. (no complete transaction from {start} on)")
        return NOTHING_AFTER
    finally:
        if raw != given.output_file:
            raw.unlink(missing_ok=True)
    lost = tell_end(logs, done)
    print(
        f"Saved {done.transactions} transactions ({done.bytes} bytes) from {start} to {done.end} "
        f"of {logs.directory} in {given.output_file}"
    )
    return int(lost)


class _Nothing(Exception):
    def __init__(self, cut: Cut) -> None:
        self.cut = cut


def tell_end(logs: LogRow, done: Cut) -> bool:
    """Say how the logs end where they do not end well; whether damage hides what later logs hold."""
    lost = lost_behind(logs, done.end_reason)
    if lost:
        print(f"{logs.directory}: reading ended {done.end_reason}; later logs are NOT saved", file=sys.stderr)
    elif done.end_reason.kind != "clean":
        print(f"The logs end {done.end_reason}; what is whole before that counts", file=sys.stderr)
    if logs.beyond_gap:
        print(
            f"{logs.directory}: a log after {logs.files[-1].name} is missing; NOT saved: {', '.join(logs.beyond_gap)}",
            file=sys.stderr,
        )
    return lost


def directories(given: Namespace) -> list[Path]:
    """Where to look for the logs."""
    named = (given.binlog_dir or (str(given.datadir) if given.datadir else DIRECTORIES)).split(",")
    return [(given.datadir or Path()) / part.strip() for part in named if part.strip()]


if __name__ == "__main__":
    raise SystemExit(main())
