"""`mha config`: what a configuration means."""

from __future__ import annotations

import typer

from commands.mha_options import Conf, GlobalConf, console
from commands.options import DEFAULT_GLOBAL_CONF

app = typer.Typer()


@app.command(name="config", epilog="Example: `mha config --conf /etc/mha/app1.cnf`")
def show_config(conf: Conf, global_conf: GlobalConf = DEFAULT_GLOBAL_CONF) -> None:
    """Read a configuration and show what it means, without secrets; errors name file, line and key."""
    from config import load_cluster

    cluster = load_cluster(conf, global_conf)
    for warning in cluster.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False)
    print(cluster.model_dump_json(indent=2, exclude={"warnings"}))
