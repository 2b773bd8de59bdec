"""mha: one front for every job, with the same engine as the predecessor's commands behind it."""

from __future__ import annotations

import json
import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from commands import mha_replay
from commands.options import DEFAULT_GLOBAL_CONF, expected_errors, one_line, package_version

log = logging.getLogger("mha")
console = Console()
app = typer.Typer(
    name="mha",
    help="Master High Availability for MySQL and MariaDB, as Prefect workflows.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.add_typer(mha_replay.app)

Conf = Annotated[
    Path, typer.Option("--conf", "-c", help="The application's configuration file (app1.cnf or mha.toml).")
]
GlobalConf = Annotated[Path, typer.Option(help="Defaults for all applications.")]
Workdir = Annotated[Path | None, typer.Option("--workdir", help="Where state files and journals go.")]
LogFile = Annotated[Path | None, typer.Option("--log", help="The manager's log; the terminal when not set.")]


class Output(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


def main() -> int:
    """Run the command line; errors an operator can cause are one line, exit 1."""
    try:
        app()
    except expected_errors() as error:
        print(one_line(error), file=sys.stderr, flush=True)
        return 1
    return 0


@app.callback(invoke_without_command=True)
def front(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Options of mha itself."""
    if version:
        print(f"mha version {package_version()}.")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


@app.command(epilog="Example: `mha monitor --conf /etc/mha/app1.cnf`")
def monitor(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    workdir: Workdir = None,
    log_file: LogFile = None,
    last_failover_minute: Annotated[
        int, typer.Option(help="Refuse a second failover within so many minutes.", min=0)
    ] = 60,
    once: Annotated[bool, typer.Option(help="End after one failover, as masterha_manager does.")] = False,
) -> None:
    """Watch a primary, fail over when it dies, and go on watching the new one."""
    from commands import masterha_manager

    words = [f"--conf={conf}", f"--global_conf={global_conf}", f"--last_failover_minute={last_failover_minute}"]
    words += [f"--workdir={workdir}"] if workdir else []
    words += [f"--manager_log={log_file}"] if log_file else []
    raise SystemExit(masterha_manager.manage(masterha_manager.parser().parse(words), go_on=not once))


@app.command(epilog="Example: `mha failover --conf /etc/mha/app1.cnf --dry-run`")
def failover(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    workdir: Workdir = None,
    dead: Annotated[str | None, typer.Option(help="Host of the dead primary; found out when not given.")] = None,
    to: Annotated[str | None, typer.Option(help="Promote this host and no other.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
) -> None:
    """Fail over a cluster whose primary is dead, now."""
    from commands.failover_options import secrets_of
    from commands.log import setup_logging
    from commands.masterha_master_switch import ask
    from config import load_cluster
    from replication.plan import FailoverOptions

    config = load_cluster(conf, global_conf, {"manager_workdir": str(workdir)} if workdir else None)
    config.manager_workdir.mkdir(parents=True, exist_ok=True)
    setup_logging(None, config.log_level, secrets_of(config))
    from flows.engine import leave, log_to_prefect
    from flows.failover import armed_failover, fail_over_by_hand

    log_to_prefect(log)
    outcome = fail_over_by_hand(
        config,
        FailoverOptions(new_master_host=to, ignore_last_failover=True),
        dead_host=dead,
        dry_run=dry_run,
        show=None if yes or dry_run else ask,
        armed=armed_failover(config.name),
    )
    if output is Output.JSON:
        print(
            json.dumps(outcome.plan.as_dict() if dry_run and outcome.plan else outcome.as_dict(), default=str, indent=2)
        )
    else:
        print(outcome.summary)
    leave(outcome.exit_code)


@app.command(epilog="Example: `mha topology --conf /etc/mha/app1.cnf`")
def topology(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
) -> None:
    """Show who replicates from whom, and how far each replica is."""
    from commands.show import topology_json, topology_table
    from config import load_cluster
    from replication.sessions import Sessions

    config = load_cluster(conf, global_conf)
    sessions = Sessions(config)
    try:
        cluster = sessions.observe(timeout=6.0)
    finally:
        sessions.close()
    if output is Output.JSON:
        print(json.dumps(topology_json(config, cluster), indent=2))
    else:
        console.print(topology_table(config, cluster))
        for down in cluster.down:
            console.print(down.reason, style="yellow", highlight=False, markup=False)
    if cluster.down:
        raise typer.Exit(1)


@app.command(epilog="Example: `mha status --conf /etc/mha/app1.cnf`")
def status(conf: Conf, global_conf: GlobalConf = DEFAULT_GLOBAL_CONF) -> None:
    """Tell what the manager of an application does on this host, and how its binlog servers are.

    Exits as masterha_check_status; binlog servers do not count for that.
    """
    from commands import masterha_check_status
    from commands.binlog_server import status_lines

    code = masterha_check_status.main([f"--conf={conf}", f"--global_conf={global_conf}"])
    for line in status_lines(conf, global_conf):
        print(line)
    raise SystemExit(code)


@app.command(epilog="Example: `mha stop --conf /etc/mha/app1.cnf`")
def stop(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    abort: Annotated[bool, typer.Option(help="Kill it when it does not end by itself.")] = False,
) -> None:
    """Stop the manager of an application on this host; exits as masterha_stop."""
    from commands import masterha_stop

    words = [f"--conf={conf}", f"--global_conf={global_conf}", *(["--abort"] if abort else [])]
    raise SystemExit(masterha_stop.main(words))


@app.command(name="binlog-server", epilog="Example: `mha binlog-server --conf /etc/mha/app1.cnf --name binlog1`")
def binlog_server(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    name: Annotated[str, typer.Option(help="The [binlogN] block of this host; found by address when not given.")] = "",
    log_file: LogFile = None,
    once: Annotated[bool, typer.Option(help="End when everything is here that the primary has now.")] = False,
    from_current: Annotated[
        bool, typer.Option(help="Begin an empty directory with the log that is written now, not with the oldest.")
    ] = False,
    keep_days: Annotated[float | None, typer.Option(help="Remove logs older than this.", min=0)] = None,
    keep_bytes: Annotated[
        int | None, typer.Option(help="Remove the oldest logs of a server beyond so many bytes.", min=0)
    ] = None,
    server_id: Annotated[
        int | None, typer.Option(help="Read with this server id; no other server or reader may have it.", min=1)
    ] = None,
) -> None:
    """Copy the primary's binary logs to this host with mysqlbinlog, and follow a new primary after a failover."""
    from commands.binlog_server import serve
    from replication.binlog_server import CopyOptions

    serve(conf, global_conf, log_file, name, CopyOptions(from_current, once, keep_days, keep_bytes, server_id))


@app.command(name="config", epilog="Example: `mha config --conf /etc/mha/app1.cnf`")
def show_config(conf: Conf, global_conf: GlobalConf = DEFAULT_GLOBAL_CONF) -> None:
    """Read a configuration and show what it means, without secrets; errors name file, line and key."""
    from config import load_cluster

    cluster = load_cluster(conf, global_conf)
    for warning in cluster.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False)
    print(cluster.model_dump_json(indent=2, exclude={"warnings"}))


if __name__ == "__main__":
    raise SystemExit(main())
