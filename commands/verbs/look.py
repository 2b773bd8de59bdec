"""`mha topology` and `mha status`: how a cluster and its manager are."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from ...replication.model.words import visible
from ..shared.mha_options import Conf, GlobalConf, Output, console, table_of
from ..shared.options import DEFAULT_GLOBAL_CONF

app = typer.Typer()


@app.command(epilog="Example: `mha topology --conf /etc/mha/app1.cnf`")
def topology(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
) -> None:
    """Show who replicates from whom, how far each replica is, who was replaced and is no replica yet, and which
    managers watch or stand by.
    """
    from ...config import load_cluster
    from ...replication.cluster.pool import ConnectionPool
    from ...replication.cluster.unknown_replicas import look_for_strangers
    from ...replication.coordination.leadership import Leadership
    from ...replication.rejoin.remembered.standing import former_primaries
    from ..shared.show import topology_json, topology_table, topology_text

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
        more = {"not_configured": unknown, "replaced": [asdict(each) for each in former], "managers": managers}
        print(json.dumps({**topology_json(config, cluster), **more}, indent=2))
        raise typer.Exit(int(bool(cluster.down)))
    lines = [*unknown, *(f"{each.name} was replaced by a failover: {each}" for each in former), f"managers: {managers}"]
    if output is Output.TABLE:
        console.print(topology_table(config, cluster))
        print(visible("\n".join(lines)))
    else:
        print(visible("\n".join([*topology_text(config, cluster), *lines])))
    if cluster.down:
        raise typer.Exit(1)


@app.command(epilog="Example: `mha status --conf /etc/mha/app1.cnf`")
def status(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
) -> None:
    """Tell what the manager of an application does on this host, who is held read-only, how its binlog servers are, and
    what the last health check said of a failover.

    Exits as masterha_check_status; the rest does not count for that.
    """
    from ..masterha_check_status import check, row
    from ..masterha_check_status import parser as selectors
    from ..shared.checking import checked_lines
    from ..shared.options import SelectionError, target
    from .binlog_server import status_lines
    from .holds import held_lines

    held, binlogs = held_lines(conf, global_conf), status_lines(conf, global_conf)
    checked = checked_lines(conf, global_conf)
    try:
        selected = target(selectors().parse([f"--conf={conf}", f"--global_conf={global_conf}"]), None)
    except SelectionError:
        # No manager ever ran here; binlog servers may all the same.
        for line in (*held, *binlogs, *checked):
            print(line)
        raise
    if output is Output.TEXT:
        code = check(selected)
        for line in (*held, *binlogs, *checked):
            print(line)
        raise SystemExit(code)
    seen = row(selected)
    if output is Output.JSON:
        print(json.dumps({**seen, "held": held, "binlog_servers": binlogs, "health_check": checked}, indent=2))
    else:
        console.print(table_of([seen]))
        for line in (*held, *binlogs, *checked):
            print(line)
    raise SystemExit(seen["code"])
