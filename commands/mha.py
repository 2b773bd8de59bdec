"""mha: one front for every job, with the same engine as MHA's commands behind it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..replication.local.core_files import leave_none
from .shared.mha_options import Conf, Confs, GlobalConf, LogFile, Output, Plain, PlainOutput, Workdir
from .shared.options import (
    DEFAULT_GLOBAL_CONF,
    ended,
    exit_code,
    expected_errors,
    one_line,
    package_version,
    print_anything,
)
from .verbs import check as mha_check
from .verbs import config as mha_config
from .verbs import drill as mha_drill
from .verbs import history as mha_history
from .verbs import in_prefect as mha_in_prefect
from .verbs import init as mha_init
from .verbs import look as mha_look
from .verbs import notify as mha_notify
from .verbs import rejoin as mha_rejoin
from .verbs import relay_logs as mha_relay_logs
from .verbs import replay as mha_replay
from .views.terminal import print_document, print_said, print_visible

log = logging.getLogger("mha")
app = typer.Typer(
    name="mha",
    help="Master High Availability for MySQL and MariaDB, as Prefect workflows.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for part in (
    mha_init,
    mha_check,
    mha_look,
    mha_history,
    mha_relay_logs,
    mha_config,
    mha_notify,
    mha_in_prefect,
    mha_replay,
    mha_rejoin,
    mha_drill,
):
    app.add_typer(part.app)


def main() -> int:
    """Run the command line; what an operator can cause is one line, exit 2 for the configuration, else 1."""
    leave_none()
    print_anything()
    try:
        app()
    except SystemExit:
        # Also the end of --help; whether it is one of the errors below could only be told by importing them.
        raise
    except expected_errors() as error:
        print(one_line(error), file=sys.stderr, flush=True)
        return ended(exit_code(error))
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


@app.command(epilog="Example: `mha monitor --conf /etc/mha/app1.cnf`, or `mha monitor --conf-dir /etc/mha`")
def monitor(
    conf: Confs = None,
    conf_dir: Annotated[
        Path | None, typer.Option(help="Watch every cluster configured there, in one process; files may come and go.")
    ] = None,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    workdir: Workdir = None,
    log_file: LogFile = None,
    last_failover_minute: Annotated[
        int, typer.Option(help="Refuse a second failover within this many minutes.", min=0)
    ] = 60,
    max_parallel_failovers: Annotated[
        int, typer.Option(help="Fail over at most this many clusters at a time, by priority.", min=1)
    ] = 8,
    once: Annotated[bool, typer.Option(help="End after one failover, as masterha_manager does.")] = False,
) -> None:
    """Watch a primary, fail over when it dies, and go on watching the new one; or many of them in one process."""
    from . import masterha_manager

    words = [f"--global_conf={global_conf}", f"--last_failover_minute={last_failover_minute}"]
    words += [f"--workdir={workdir}"] if workdir else []
    words += [f"--manager_log={log_file}"] if log_file else []
    if conf_dir is None and len(conf or ()) == 1:
        words += [f"--conf={each}" for each in conf or ()]
        raise SystemExit(masterha_manager.manage(masterha_manager.parser().parse(words), go_on=not once))
    if not conf and conf_dir is None:
        raise typer.BadParameter("name a configuration, or a directory with --conf-dir", param_hint="'--conf'")
    if once:
        raise typer.BadParameter("is for a single cluster", param_hint="'--once'")
    from .verbs.fleet import watch_all

    raise SystemExit(watch_all(masterha_manager.parser().parse(words), conf or [], conf_dir, max_parallel_failovers))


@app.command(epilog="Example: `mha failover --conf /etc/mha/app1.cnf --dry-run`")
def failover(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    workdir: Workdir = None,
    dead: Annotated[str | None, typer.Option(help="Host of the dead primary; found out when not given.")] = None,
    to: Annotated[str | None, typer.Option(help="Promote this host and no other.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Finish an interrupted failover, with its own options; ask nothing."),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="With --dry-run: write the plan as a page of HTML into this new file."),
    ] = None,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
) -> None:
    """Fail over a cluster whose primary is dead, now; or finish a failover whose manager died."""
    from ..replication.memory.journal import unfinished
    from ..replication.planning.plan import FailoverOptions
    from .shared.asking import asking
    from .shared.beginning import begin, loader
    from .views.pages import refuse_an_old_file, write_html
    from .views.progress import bars

    if html is not None and not dry_run:
        raise typer.BadParameter("is for --dry-run", param_hint="'--html'")
    refuse_an_old_file(html)
    config = loader(conf, global_conf, workdir)()
    begin(config)
    from ..flows.deeds.failover import fail_over_by_hand
    from ..flows.engine.start import leave

    if resume and not unfinished(config.manager_workdir, config.name):
        said = f"No failover of {config.name} was interrupted on this host: there is nothing to resume."
        print(said, file=sys.stderr if output is Output.JSON else sys.stdout)
        raise typer.Exit
    with bars():
        outcome = fail_over_by_hand(
            config,
            FailoverOptions(new_master_host=to, ignore_last_failover=True),
            dead_host=dead,
            dry_run=dry_run,
            ask=None if yes or dry_run or resume else asking(aside=output is Output.JSON),
            resume=resume,
        )
    if html is not None and outcome.plan is not None:
        from ..replication.reporting.report import plan_html

        write_html(html, plan_html(outcome.plan), aside=output is Output.JSON)
    if output is Output.JSON:
        planned = outcome.plan if dry_run else None
        print_document("failover-plan" if planned else "failover", (planned or outcome).as_dict())
    else:
        print_visible(outcome.summary)
    leave(outcome.exit_code)


@app.command(epilog="Example: `mha switchover --conf /etc/mha/app1.cnf --to db2 --keep-old-as-replica`")
def switchover(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    workdir: Workdir = None,
    to: Annotated[str | None, typer.Option(help="Promote this host; the best replica when not given.")] = None,
    keep_old_as_replica: Annotated[
        bool, typer.Option("--keep-old-as-replica", help="Make the old primary a replica of the new one.")
    ] = False,
    allow_super_writers: Annotated[
        bool,
        typer.Option(
            "--allow-super-writers", help="Switch even if accounts with SUPER can still write to the old primary."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, show the plan, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
) -> None:
    """Move the role of a living primary to another server, without losing a write."""
    from ..replication.planning.switch_options import SwitchOptions
    from .shared.asking import asking
    from .shared.beginning import begin, loader
    from .shared.switch_options import act

    config = loader(conf, global_conf, workdir)()
    begin(config)
    host, _, port = (to or "").partition(":")
    options = SwitchOptions(
        new_master_host=host or None,
        new_master_port=int(port) if port else None,
        orig_master_is_new_slave=keep_old_as_replica,
        allow_super_writers=allow_super_writers,
    )
    outcome = act(config, options, dry_run=dry_run, ask=None if yes or dry_run else asking(aside=output is Output.JSON))
    if output is Output.JSON:
        planned = outcome.plan if outcome.checked_only else None
        print_document("switchover-plan" if planned else "switchover", (planned or outcome).as_dict())
    else:
        print_visible(outcome.summary)
    from ..flows.engine.start import leave

    leave(outcome.exit_code)


@app.command(epilog="Example: `mha release --conf /etc/mha/app1.cnf --host db1`")
def release(
    conf: Conf,
    host: Annotated[str, typer.Option(help="The server that is held: its hostname, address, or either with :port.")],
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    workdir: Workdir = None,
    output: PlainOutput = Plain.TEXT,
) -> None:
    """Release a former primary that a failover replaced: it stays read-only until somebody opens it."""
    from .verbs.holds import lift

    def work() -> int:
        return lift(conf, global_conf, workdir, host)

    raise SystemExit(work() if output is Plain.TEXT else print_said("release", {"host": host}, work))


@app.command(epilog="Example: `mha stop --conf /etc/mha/app1.cnf`")
def stop(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    abort: Annotated[bool, typer.Option(help="Kill it when it does not end by itself.")] = False,
    output: PlainOutput = Plain.TEXT,
) -> None:
    """Stop the manager of an application on this host; exits as masterha_stop."""
    from . import masterha_stop

    words = [f"--conf={conf}", f"--global_conf={global_conf}", *(["--abort"] if abort else [])]

    def work() -> int:
        return masterha_stop.main(words)

    raise SystemExit(work() if output is Plain.TEXT else print_said("stop", {"conf": conf}, work))


@app.command(name="binlog-server", epilog="Example: `mha binlog-server --conf /etc/mha/app1.cnf --name binlog1`")
def binlog_server(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    name: Annotated[str, typer.Option(help="The [binlogN] block of this host; found by address when not given.")] = "",
    log_file: LogFile = None,
    once: Annotated[bool, typer.Option(help="End once everything is copied that the primary has now.")] = False,
    from_current: Annotated[
        bool, typer.Option(help="Begin an empty directory with the log that is written now, not with the oldest.")
    ] = False,
    keep_days: Annotated[float | None, typer.Option(help="Remove logs older than this.", min=0)] = None,
    keep_bytes: Annotated[
        int | None, typer.Option(help="Keep this many bytes of each server's logs; remove the oldest.", min=0)
    ] = None,
    server_id: Annotated[
        int | None, typer.Option(help="Read with this server id; no other server or reader may have it.", min=1)
    ] = None,
) -> None:
    """Copy the primary's binary logs to this host with mysqlbinlog, and a new primary's after a failover."""
    from ..replication.maintenance.binlog_server.block import CopyOptions
    from .verbs.binlog_server import serve

    serve(conf, global_conf, log_file, name, CopyOptions(from_current, once, keep_days, keep_bytes, server_id))


@app.command(
    name="keepalived-config", epilog="Example: `mha keepalived-config --conf /etc/mha/app1.cnf --to /tmp/vrrp`"
)
def keepalived_config(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    to: Annotated[Path | None, typer.Option(help="A directory for the files, one folder a host.")] = None,
    check_script: Annotated[
        bool, typer.Option(help="A host whose mysqld does not answer gives the address up by itself.")
    ] = True,
    unicast: Annotated[bool, typer.Option(help="The hosts name each other, for networks without multicast.")] = False,
) -> None:
    """Write keepalived's configuration for every host: BACKUP and nopreempt, with a check of mysqld."""
    from .verbs.address_config import write_keepalived

    write_keepalived(conf, global_conf, to, check_script=check_script, unicast=unicast)


@app.command(name="haproxy-config", epilog="Example: `mha haproxy-config --conf /etc/mha/app1.cnf >haproxy.cfg`")
def write_haproxy_config(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    primary: Annotated[
        str | None, typer.Option(help="Who takes writes at the first start; the servers are asked when not given.")
    ] = None,
) -> None:
    """Write HAProxy's configuration: one port for writes, one for reads from replicas that keep up."""
    from .verbs.address_config import print_haproxy

    print_haproxy(conf, global_conf, primary)


if __name__ == "__main__":
    raise SystemExit(main())
