"""apply_diff_relay_logs: give a replica what another one received and it did not, by hand."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..replication.errors import LogError
from ..replication.maintenance.node.client_programs import write_text
from ..replication.maintenance.node.logs import (
    HAS_EVERYTHING,
    LogRow,
    PlaceNotFound,
    find_place,
    local_log,
    log_index_of,
    relay_logs,
    relay_logs_by_info,
    whole_file,
    write_difference,
    write_nothing,
)
from ..replication.model.position import BinlogPosition
from .shared.arguments import add_client_options, address, client, described, password
from .shared.options import OptionParser, die, run, say_without_effect

if TYPE_CHECKING:
    from ..config import ServerConfig
    from ..replication.mysql.server import Server

APPLYING_FAILED = 22
PASSWORD_VARIABLE = "MHA_SLAVE_PASSWORD"  # noqa: S105 - a name, no password
WITHOUT_EFFECT = ("server_id", "target_version", "manager_version", "skip_filter", "debug")


def parser() -> OptionParser:
    """The options of MHA's command."""
    made = OptionParser(
        "apply_diff_relay_logs",
        "Give a replica (the target) what another one (the latest) received and it did not.\n"
        "On the host of the latest: find or generate the difference in its relay logs; on the target's: apply it.\n\n"
        "exit codes:\n   0  done, or nothing to do\n  22  applying to MySQL failed\n   1  anything else",
        "apply_diff_relay_logs --command=generate --relay_log_info=/var/lib/mysql/relay-log.info "
        "--target_mlf=mysql-bin.000012 --target_rmlp=8843 --latest_mlf=mysql-bin.000012 --latest_rmlp=99120 "
        "--diff_file_readtolatest=/var/tmp/diff.binlog",
    )
    add = made.add_argument
    add("--command", choices=("test", "find", "generate", "generate_and_send", "apply"), help="what to do")
    add("--target_mlf", metavar="LOG", help="the source's log up to which the target executed")
    add("--target_rmlp", type=int, metavar="BYTES", help="the place in it")
    add("--latest_mlf", metavar="LOG", help="the source's log up to which the latest replica received")
    add("--latest_rmlp", type=int, metavar="BYTES", help="the place in it")
    add("--relay_log_info", type=Path, metavar="FILE", help="relay-log.info of the latest, in its data directory")
    add("--relay_dir", type=Path, metavar="DIR", help="instead of it: where the relay logs are, and")
    add("--current_relay_log", metavar="LOG", help="the name of one that is in use")
    add("--diff_file_readtolatest", type=Path, metavar="FILE", help="the file to generate")
    add("--scp_user", metavar="USER", help="generate_and_send: SSH user on the target's host")
    add("--scp_host", metavar="HOST", help="the target's host; the file gets the same path there")
    add("--scp_port", type=int, default=22, metavar="PORT", help="SSH port there (22)")
    add("--ssh_options", default="", metavar="OPTIONS", help="as for ssh: -i, -o, -p, -l, -F")
    add("--apply_files", metavar="FILE[,FILE]", help="what to apply, in this order")
    add("--slave_user", default="root", metavar="USER", help="MySQL account on the target (root)")
    add("--slave_pass", metavar="PASSWORD", help=f"its password, env:NAME or file:/path; better: {PASSWORD_VARIABLE}")
    add("--slave_host", default="127.0.0.1", metavar="HOST", help="the target (127.0.0.1)")
    add("--slave_ip", metavar="ADDRESS", help="its address (default: resolved from its name)")
    add("--slave_port", type=int, default=3306, metavar="PORT", help="its port (3306)")
    # MHA's default; what is made there is made anew, through no link (`node.whole_file`).
    add("--workdir", type=Path, default=Path("/var/tmp"), metavar="DIR", help="where files go (/var/tmp)")  # noqa: S108
    add("--timestamp", default=time.strftime("%Y%m%d%H%M%S"), metavar="TEXT", help="for their names (now)")
    add("--rescue_port", default="23306-23315", metavar="PORTS", help="where the target fetches it (23306-23315)")
    add("--no_apply", nargs="?", type=int, const=1, default=0, choices=(0, 1), help="only make the file to be applied")
    add("--disable_log_bin", type=int, choices=(0, 1), default=0, help="1: do not write the target's binary log (0)")
    add("--handle_raw_binlog", type=int, choices=(0, 1), default=1, help="0: files are mysqlbinlog's text (1)")
    add_client_options(made, "mysql and mysqlbinlog")
    add("--server_id", metavar="NUMBER", help="no effect: relay logs tell whose they are")
    add("--target_version", metavar="VERSION", help="no effect: the target is asked")
    add("--manager_version", metavar="VERSION", help="no effect")
    add("--skip_filter", metavar="0|1", help="no effect: nothing is filtered")
    add("--debug", nargs="?", const="1", help="no effect")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    given = parser().parse(argv)
    command = given.command
    if command is None:
        die("--command=test|find|generate|generate_and_send|apply must be set.", 1)
    needed = {
        "test": (),
        "find": ("target_mlf", "target_rmlp", "latest_mlf", "latest_rmlp"),
        "generate": ("target_mlf", "target_rmlp", "latest_mlf", "latest_rmlp", "diff_file_readtolatest"),
        "apply": ("apply_files",),
    }
    needed["generate_and_send"] = (*needed["generate"], "scp_host")
    for name in needed[command]:
        if getattr(given, name) is None:
            die(f"--{name} must be set for --command={command}.", 1)
    say_without_effect(given, WITHOUT_EFFECT)
    actions = {"test": test, "find": find, "generate": generate, "generate_and_send": generate_and_send, "apply": apply}
    return run(lambda: actions[command](given))


# the latest replica's side ---------------------------------------------------------------------------------------


def find(given: Namespace) -> int:
    """Whether the relay logs of this host reach back to where the target is."""
    logs = row(given)
    try:
        log, offset = find_place(logs, target(given), latest(given))
    except PlaceNotFound as reason:
        return nothing_or_error(reason)
    print(f"The relay logs reach back to {target(given)}: {logs.directory / log.name}:{offset}")
    return 0


def generate(given: Namespace) -> int:
    """Write what the target lacks. A target that has everything gets a log without transactions."""
    logs, file = row(given), given.diff_file_readtolatest
    raw = file if given.handle_raw_binlog else file.with_name(f"{file.name}.raw")
    try:
        with whole_file(raw, logs.paths) as out:
            done = write_difference(logs, target(given), latest(given), out)
        if not given.handle_raw_binlog:
            with whole_file(file, logs.paths) as out:
                write_text(raw, client(given), out, disable_log_bin=bool(given.disable_log_bin))
    except PlaceNotFound as reason:
        if reason.code == HAS_EVERYTHING:
            # A script that copies and applies the file next need not know.
            with whole_file(file, logs.paths) as out:
                if given.handle_raw_binlog:
                    write_nothing(logs, out)
        return nothing_or_error(reason)
    finally:
        if raw != file:
            raw.unlink(missing_ok=True)
    end = done.last.source_end if done.last else target(given)
    print(f"Generated {done.transactions} transactions ({done.bytes} bytes) from {target(given)} to {end} in {file}")
    if end != latest(given):
        print(
            f"What lies between {end} and {latest(given)} is no whole transaction; save_binary_logs goes on at {end}",
            file=sys.stderr,
        )
    return 0


def generate_and_send(given: Namespace) -> int:
    """Generate, and copy the file to the same path on the target's host."""
    code = generate(given)
    if code == 0:
        from ..replication.ssh.host import SshHost

        file = given.diff_file_readtolatest.absolute()
        host = SshHost(ssh_config(given))
        try:
            host.mkdir(str(file.parent))
            with file.open("rb") as data:
                host.put(data, str(file))
        finally:
            host.close()
        print(f"Sent {file} to {host.name}")
    return code


def nothing_or_error(reason: PlaceNotFound) -> int:
    """A target that has everything is no error."""
    if reason.code != HAS_EVERYTHING:
        raise reason
    print(f"Nothing to generate: {reason}")
    return 0


def row(given: Namespace) -> LogRow:
    """The relay logs that the options name."""
    if given.relay_dir is not None and given.current_relay_log:
        return relay_logs(given.relay_dir, given.current_relay_log)
    if given.relay_log_info is not None:
        return relay_logs_by_info(given.relay_log_info)
    raise LogError("--relay_log_info, or --relay_dir and --current_relay_log, must be set")


def target(given: Namespace) -> BinlogPosition:
    """How far the target is in the source's log."""
    return place(given.target_mlf, given.target_rmlp)


def latest(given: Namespace) -> BinlogPosition:
    """How far the latest replica is."""
    return place(given.latest_mlf, given.latest_rmlp)


def place(file: str, pos: int) -> BinlogPosition:
    """A place in the source's log. Raises LogError for a name that is none of a log."""
    log_index_of(file)
    return BinlogPosition(file, pos)


# the target's side -----------------------------------------------------------------------------------------------


def test(given: Namespace) -> int:
    """Whether everything is there: relay logs if they are named, client programs, the server, the directory."""
    if given.relay_log_info is not None or given.relay_dir is not None:
        logs = row(given)
        print(f"Relay log found at {logs.directory}, up to {logs.files[-1].name}")
    server = open_server(given)
    try:
        state = server.observe()
        vendor = state.vendor.value
        print(f"{server}: {state.version_text}")
        print(f"Programs: {client(given).reader(vendor)}, {client(given).client(vendor)}")
    finally:
        server.close()
    probe = given.workdir / f"apply_diff_relay_logs.{os.getpid()}.test"
    with whole_file(probe):
        pass
    probe.unlink()
    print(f"{given.workdir} can be written.")
    return 0


def apply(given: Namespace) -> int:
    """Let the target execute what it received, then what is in the files."""
    from ..replication.errors import ApplyFailed
    from ..replication.maintenance.node.apply import MissingPart, finish_relay_logs, give, join_texts, merge
    from ..replication.maintenance.node.serve import taker

    files = [Path(name.strip()) for name in given.apply_files.split(",") if name.strip()]
    name = f"{given.slave_host}_{given.slave_port}"
    suffix = "binlog" if given.handle_raw_binlog else "sql"
    total = given.workdir / f"total_binlog_for_{name}.{given.timestamp}.{suffix}"
    errors = given.workdir / f"relay_log_apply_for_{name}_{given.timestamp}_err.log"
    if not given.handle_raw_binlog and not given.no_apply:
        raise LogError(
            "nothing was applied: nobody can prove of a text that a session does the same with it as the replica's own "
            "applier; generate the files without --handle_raw_binlog=0"
        )
    ports = rescue_ports(given.rescue_port)
    server = open_server(given)
    try:
        state = server.observe() if given.no_apply else finish_relay_logs(server)
        if not given.handle_raw_binlog:
            join_texts(files, total)
            return 0
        channel = taker(state, [local_log(path) for path in files])
        done = merge(files, total, MissingPart(state, channel), torn_end=bool(given.no_apply))
        if done.end_reason.kind != "clean":
            print(f"{files[-1]} ends {done.end_reason.kind}: {done.end_reason.reason}", file=sys.stderr)
        if given.no_apply:
            print(f"{done.transactions} transactions ({done.bytes} bytes) for {server} are in {total}")
        elif not done.transactions:
            print(f"{server} has everything that is in the files ({done.skipped} transactions)")
        else:
            unlogged = bool(given.disable_log_bin)
            how = give(
                server, state, channel, total, done, client(given), errors, ports=ports, disable_log_bin=unlogged
            )
            print(f"Applied {done.transactions} transactions ({done.bytes} bytes) on {server}: {how}")
    except ApplyFailed as error:
        print(f"Applying {total} on {server} failed: {error}", file=sys.stderr)
        return APPLYING_FAILED
    finally:
        server.close()
    return 0


def rescue_ports(text: str) -> range:
    """The ports that --rescue_port names. Raises ConfigError."""
    from ..config import ConfigError
    from ..config.values import ports_of

    try:
        return ports_of(text)
    except ValueError as error:
        raise ConfigError(f"--rescue_port {error}") from None


def open_server(given: Namespace) -> Server:
    """A session with the target."""
    from ..replication.mysql.server import Server

    server = Server(slave_config(given))
    server.connect()
    return server


def slave_config(given: Namespace) -> ServerConfig:
    """The target as the configuration would describe it. Raises ConfigError for a password that is not there."""
    secret = password("--slave_pass", given.slave_pass, PASSWORD_VARIABLE)
    ip = given.slave_ip or address(given.slave_host, "--slave_ip")
    return described("slave", given.slave_host, ip, port=given.slave_port, user=given.slave_user, password=secret)


def ssh_config(given: Namespace) -> ServerConfig:
    """The target's host as the configuration would describe it. Raises ConfigError for wrong ssh_options."""
    from ..config import ConfigError, SshOptions

    try:
        options = SshOptions.parse(given.ssh_options)
    except ValueError as error:
        raise ConfigError(f"--{error}") from None
    user = {"ssh_user": given.scp_user} if given.scp_user else {}
    ip = address(given.scp_host, "--scp_host")
    return described("scp", given.scp_host, ip, ssh_port=given.scp_port, ssh_options=options, **user)


if __name__ == "__main__":
    raise SystemExit(main())
