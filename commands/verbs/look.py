"""`mha topology` and `mha status`: how clusters and their managers are, once or as a live view."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ...replication.model.words import visible
from ..shared.mha_options import Conf, Confs, GlobalConf, Output
from ..shared.options import DEFAULT_GLOBAL_CONF, die, exit_code, expected_errors, one_line
from ..views.terminal import draw, print_document, print_visible, print_wrapped, rows_table

app = typer.Typer()

ConfDir = Annotated[Path | None, typer.Option(help="Every cluster that is configured there.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show it live, with keys; on a terminal.")]
Pause = Annotated[float, typer.Option(help="With --watch: seconds between two looks.", min=0.5)]


@app.command(epilog="Example: `mha topology --conf /etc/mha/app1.cnf`, `mha topology --conf-dir /etc/mha --watch`")
def topology(
    conf: Confs = None,
    conf_dir: ConfDir = None,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    watch: Watch = False,
    every: Pause = 2.0,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
) -> None:
    """Show who replicates from whom, how far each replica is, who was replaced and is no replica yet, and which
    managers watch or stand by. With --watch a live view of one cluster or of all: roles, lag, readiness, managers, what
    is held, the last failover.
    """
    confs = _named(conf, conf_dir)
    if watch:
        _watch(confs, global_conf, every)
    if len(confs) == 1:
        code = int(_show_topology(confs[0], global_conf, output))
    else:
        code = max(_one_of_several(each, global_conf, output) for each in confs)
    if code:
        raise typer.Exit(code)


def _one_of_several(conf: Path, global_conf: Path, output: Output) -> int:
    """Print one cluster's; what is wrong with it, or its file, is a line, and hides none of the others."""
    try:
        return int(_show_topology(conf, global_conf, output))
    except expected_errors() as error:
        print(visible(f"{conf}: {one_line(error)}"), file=sys.stderr, flush=True)
        return exit_code(error)


def _show_topology(conf: Path, global_conf: Path, output: Output) -> bool:
    """Print one cluster's; whether a server of it is down."""
    from ...config import load_cluster
    from ...replication.cluster.pool import ConnectionPool
    from ...replication.cluster.unknown_replicas import look_for_strangers
    from ...replication.coordination.leadership import Leadership
    from ...replication.rejoin.remembered.standing import former_primaries
    from ..views.topology import topology_json, topology_table, topology_text

    config = load_cluster(conf, global_conf)
    sessions, right = ConnectionPool(config), Leadership(config)
    try:
        right.start()
        cluster = sessions.observe(timeout=6.0)
        unknown = [str(each) for each in look_for_strangers(config, cluster, sessions)]
        former = former_primaries(config, lambda key: cluster.get(key) is not None)
        right.look(timeout=2.0)
        managers = right.who()
    finally:
        right.close()
        sessions.close()
    if output is Output.JSON:
        told = {"not_configured": unknown, "replaced": [asdict(each) for each in former], "managers": managers}
        print_document("topology", {**topology_json(config, cluster), **told})
        return bool(cluster.down)
    lines = [*unknown, *(f"{each.name} was replaced by a failover: {each}" for each in former), f"managers: {managers}"]
    if output is Output.TABLE:
        draw(topology_table(config, cluster))
        print(visible("\n".join(lines)))
    else:
        print(visible("\n".join([*topology_text(config, cluster), *lines])))
    return bool(cluster.down)


@app.command(epilog="Example: `mha status --conf /etc/mha/app1.cnf`")
def status(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    watch: Watch = False,
    every: Pause = 2.0,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
) -> None:
    """Tell what the manager of an application does on this host, who is held read-only, how its binlog servers are,
    what the last health check said of a failover, and what was done last.

    Exits as masterha_check_status; the rest does not count for that.
    """
    from ..masterha_check_status import check, row
    from ..masterha_check_status import parser as selectors
    from ..shared.checking import checked_lines
    from ..shared.options import SelectionError, target
    from .binlog_server import status_lines
    from .history import newest_line
    from .holds import held_lines

    if watch:
        _watch([conf], global_conf, every)
    held, binlogs = held_lines(conf, global_conf), status_lines(conf, global_conf)
    checked, last = checked_lines(conf, global_conf), newest_line(conf, global_conf)
    lines = (*held, *binlogs, *checked, *last)
    try:
        selected = target(selectors().parse([f"--conf={conf}", f"--global_conf={global_conf}"]), None)
    except SelectionError:
        # No manager ever ran here; binlog servers may all the same.
        _say(lines)
        raise
    if output is Output.TEXT:
        code = check(selected)
        _say(lines)
        raise SystemExit(code)
    seen = row(selected)
    if output is Output.JSON:
        told = {"held": held, "binlog_servers": binlogs, "health_check": checked, "last": last}
        print_document("status", {**seen, **told})
    else:
        draw(rows_table([seen]))
        _say(lines)
    raise SystemExit(seen["code"])


def _say(lines: Iterable[str]) -> None:
    """Sentences: wrapped on a terminal, else a line each, for programs."""
    for line in lines:
        (print_wrapped if sys.stdout.isatty() else print_visible)(line)


def _named(confs: list[Path] | None, directory: Path | None) -> list[Path]:
    if directory is not None:
        from ...flows.clusters import configuration_files

        found = [*(confs or ()), *configuration_files(directory)]
    else:
        found = confs or []
    if not found:
        raise typer.BadParameter("name a configuration, or a directory with --conf-dir", param_hint="'--conf'")
    return found


def _watch(confs: list[Path], global_conf: Path, every: float) -> None:
    """Until a key ends it. Raises SystemExit."""
    from .holds import held_lines

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        die("--watch is for a terminal; without it the cluster is shown once", 1)
    from ..views.live.keys import watch

    raise SystemExit(watch(confs, global_conf, held_lines, every))
