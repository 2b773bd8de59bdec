"""mha drill: a failover or a switch is practised, on a cluster whose file allows it."""

from __future__ import annotations

from typing import Annotated

import typer

from ...replication.drill.kinds import DrillKind
from ..shared.mha_options import Conf, GlobalConf, Plain, PlainOutput, Workdir
from ..shared.options import DEFAULT_GLOBAL_CONF
from ..views.terminal import print_document

app = typer.Typer()


@app.command(epilog="Example: `mha drill --conf /etc/mha/app1.cnf --kind switch --dry-run`")
def drill(
    conf: Conf,
    kind: Annotated[
        DrillKind,
        typer.Option(
            help="switch: the role is moved as planned, and back; kill, freeze, power: the primary is killed, stopped "
            "or switched off, the manager replaces it, it comes back, and gets its role back; ssh-loss: its host takes "
            "no SSH from here for a while, and nothing may be failed over."
        ),
    ],
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    workdir: Workdir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show plan or refusal, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: PlainOutput = Plain.TEXT,
) -> None:
    """Practise a failover or a switch where drill_allowed says so, measure it, and put everything back. Exits with 0
    only when every target was met.
    """
    from ...replication.drill.scorecard import text
    from ..shared.asking import asking
    from ..shared.beginning import begin, loader
    from ..views.progress import bars

    load = loader(conf, global_conf, workdir)
    config = load()
    begin(config)
    from ...flows.deeds.drill import drill_by_hand
    from ...flows.engine.start import leave

    json = output is Plain.JSON
    with bars():
        outcome = drill_by_hand(
            config, kind, load=load, dry_run=dry_run, ask=None if yes or dry_run else asking(aside=json)
        )
    if json:
        planned = outcome.plan if outcome.planned_only else None
        print_document("drill-plan" if planned else "drill", (planned or outcome).as_dict())
    elif outcome.card is not None:
        print(text(outcome.card))
    elif outcome.refusal is not None:
        print("\n".join((f"{outcome.refusal}", *(f"  {line}" for line in outcome.refusal.evidence))))
    else:
        print(outcome.summary)
    leave(outcome.exit_code)
