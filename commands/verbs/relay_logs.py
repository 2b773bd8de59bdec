"""`mha purge-relay-logs`: the housekeeping of a cluster's relay logs, from the manager."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from ..shared.mha_options import Conf, GlobalConf, Output
from ..shared.options import DEFAULT_GLOBAL_CONF
from ..views.progress import bars
from ..views.terminal import draw, print_document, print_visible, rows_table

app = typer.Typer()


@app.command(name="purge-relay-logs", epilog="Example: `mha purge-relay-logs --conf /etc/mha/app1.cnf`")
def purge_relay_logs(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
) -> None:
    """Remove the relay logs that a cluster's replicas have executed, one replica after the other.

    For replicas with relay_log_purge=0, which keep them for a failover. What is not executed stays; so does everything
    while the primary is away, or while another replica has yet to receive it.

    Exits 0 when all replicas were purged, 10 when some were left out, 1 when none was, 2 for a wrong configuration.
    """
    from ...config import load_cluster
    from ...replication.maintenance.relay_logs.purge_cluster import purge_cluster
    from ...replication.notify.manager_log import secrets_of, setup_logging
    from ..shared.failover_options import watch_parent_signals

    config = load_cluster(conf, global_conf)
    setup_logging(None, config.log_level, secrets_of(config))
    stop = threading.Event()
    watch_parent_signals(stop)
    with bars():
        done = purge_cluster(config, stop)
    if output is Output.JSON:
        print_document("purge", {"cluster": config.name, "replicas": done.rows()})
    elif output is Output.TABLE:
        draw(rows_table(done.rows()))
    else:
        print_visible(done)
        if not done.left_out:
            print("All relay log purging operations succeeded.")
    raise SystemExit((10 if done.purged else 1) if done.left_out else 0)
