"""`mha check`: both of MHA's checks, or one of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ..shared.mha_options import Conf, GlobalConf, Output
from ..shared.options import DEFAULT_GLOBAL_CONF

app = typer.Typer()


class What(StrEnum):
    """Which checks."""

    ALL = "all"
    REPL = "repl"
    SSH = "ssh"


@app.command(epilog="Example: `mha check --conf /etc/mha/app1.cnf`, `mha check ssh --conf /etc/mha/app1.cnf`")
def check(
    conf: Conf,
    what: Annotated[What, typer.Argument(help="repl: as masterha_check_repl; ssh: as masterha_check_ssh.")] = What.ALL,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    seconds_behind_master: Annotated[int, typer.Option(help="How many seconds a replica may be late.")] = 30,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Also SSH from every host to every other.")] = False,
    skip_check_ssh: Annotated[bool, typer.Option("--skip-check-ssh", help="Skip the checks of hosts.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line for every check.")] = False,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
) -> None:
    """Check that a cluster is fit for a failover: replication, settings, privileges, hosts, scripts."""
    from ..shared import checking

    asked = checking.Asked(
        replication=what is not What.SSH,
        ssh=what is not What.REPL,
        seconds_behind=seconds_behind_master,
        skip_hosts=skip_check_ssh,
        all_pairs=all_pairs,
        output=output.value,
        verbose=verbose,
    )
    raise SystemExit(checking.check(conf, global_conf, asked))
