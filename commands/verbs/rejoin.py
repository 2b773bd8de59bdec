"""mha rejoin: a server that a failover replaced, and that is back, becomes a replica of the new primary."""

from __future__ import annotations

from typing import Annotated

import typer

from ...replication.model.ways_back import How, Method
from ..shared.mha_options import Conf, GlobalConf, Output, Workdir
from ..shared.options import DEFAULT_GLOBAL_CONF
from ..views.terminal import print_document, print_visible

app = typer.Typer()


@app.command(epilog="Example: `mha rejoin --conf /etc/mha/app1.cnf --host db1 --dry-run`")
def rejoin(
    conf: Conf,
    host: Annotated[str, typer.Option(help="The server that is back: its hostname, address, or either with :port.")],
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    workdir: Workdir = None,
    how: Annotated[
        How,
        typer.Option(
            help="auto: what its data allows; follow: only when it has nothing that the primary lacks; rescue: copy "
            "what only it has to the manager, list it, and compare it with what the primary changed meanwhile; rewind: "
            "take that back, then follow; rebuild: give it the data of another server, then follow; empties: of a "
            "replica with errant transactions, commit empty ones in their place on the primary (MySQL)."
        ),
    ] = How.AUTO,
    method: Annotated[
        Method | None,
        typer.Option(help="Of a rebuild: clone, backup or dump; else as rebuild_method says."),
    ] = None,
    replay: Annotated[
        str,
        typer.Option(
            help="With rescue: which of its own transactions to replay on the primary: none, all, or DATABASE.TABLE,…. "
            "Rows that the primary changed too, or that cannot be compared, are never replayed."
        ),
    ] = "none",
    mask: Annotated[bool, typer.Option("--mask", help="With rescue: the report tells keys, and no values.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
) -> None:
    """Make a former primary that is back a replica of the new one; nothing that only it has is lost."""
    from ...replication.rejoin.diverged.comparison.choice import Choice
    from ..shared.asking import asking
    from ..shared.beginning import begin, loader
    from ..views.progress import bars

    try:
        choice = Choice.parse(replay)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--replay") from None
    config = loader(conf, global_conf, workdir)()
    begin(config)
    from ...flows.deeds.rejoin import rejoin_by_hand
    from ...flows.engine.start import leave
    from ...replication.rejoin.outcome import story

    asked = None if yes or dry_run else asking(aside=output is Output.JSON)
    means = method.value if method else ""
    with bars() as watch:
        outcome = rejoin_by_hand(
            config, host, how, dry_run=dry_run, ask=asked, replay=choice, hide=mask, method=means, watch=watch
        )
    if output is Output.JSON:
        planned = outcome.plan if outcome.planned_only else None
        print_document("rejoin-plan" if planned else "rejoin", (planned or outcome).as_dict())
    else:
        print_visible("\n".join(story(outcome)))
    leave(outcome.exit_code)
