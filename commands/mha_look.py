"""`mha topology` and `mha status`: how a cluster and its manager are."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from commands.mha_options import Conf, GlobalConf, Output, console
from commands.options import DEFAULT_GLOBAL_CONF

app = typer.Typer()


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
