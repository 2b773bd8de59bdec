"""`mha replay` and `mha simulate`: what today's detection would make of recorded incidents."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..shared.mha_options import GlobalConf
from ..shared.options import DEFAULT_GLOBAL_CONF
from ..views.terminal import print_table

app = typer.Typer()


@app.command(epilog="Example: `mha replay /var/lib/mha/app1/app1.incident-20260101120000.123.jsonl`")
def replay(
    file: Annotated[Path, typer.Argument(help="A recorded incident, APP.incident-….jsonl in manager_workdir.")],
    conf: Annotated[
        Path | None, typer.Option("--conf", "-c", help="Judge by this configuration; else by the recorded one.")
    ] = None,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
) -> None:
    """Say what today's table of verdicts would have done with a recorded incident, and when. Nothing is changed."""
    from ...config import load_cluster
    from ...replication.detection import replay as again
    from ...replication.detection.observation import read_incident
    from ...replication.detection.suspicion import terms_of

    try:
        incident = read_incident(file)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    terms = terms_of(load_cluster(conf, global_conf)) if conf is not None else again.terms_in(incident)
    done = again.replay(incident, terms)
    table = Table("seconds", "row", "how sure", "meaning", title=f"{file.name}: {incident.head.get('trouble', '')}")
    row = ""
    for moment in done.moments:
        judged = moment.judgement
        if judged.row.name != row or judged.dead:
            row = judged.row.name
            table.add_row(f"{moment.seconds:.2f}", row, judged.row.sure.value, judged.row.means)
    print_table(table)
    if done.verdict is None:
        print_table("Today: no failover.")
    else:
        about = "about " if done.estimated else ""
        print_table(f"Today: failover after {about}{done.verdict.seconds:.2f} s. {done.verdict.judgement.why}.")
    end = incident.end
    then = f"failover after {end.get('seconds', 0.0):.2f} s, {end.get('row')}" if again.was_death(incident) else "none"
    print_table(f"Then: {then}.")


@app.command(epilog="Example: `mha simulate /var/lib/mha/app1 --confirm 0.1,0.2,1 --misses 2,4`")
def simulate(
    directory: Annotated[Path, typer.Argument(help="A directory of recorded incidents.")],
    confirm: Annotated[str, typer.Option(help="Values of confirm_interval to try.")] = "0.05,0.2,1",
    misses: Annotated[str, typer.Option(help="Numbers of missed pings to try.")] = "2,4",
    still: Annotated[str, typer.Option(help="Seconds of silence or standstill to try.")] = "1,2.3,4",
) -> None:
    """Try thresholds against recordings: false alarms against seconds."""
    from ...replication.detection import replay as again
    from ...replication.detection.observation import read_incident

    try:
        incidents = {p.name: read_incident(p) for p in sorted(directory.glob("*.jsonl"))}
        numbers = [[float(word) for word in words.split(",")] for words in (confirm, misses, still)]
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    if not incidents:
        print(f"{directory}: no recorded incidents (*.jsonl) there", file=sys.stderr)
        raise typer.Exit(1)
    deaths = sum(again.was_death(each) for each in incidents.values())
    table = Table(
        "confirm_interval",
        "misses",
        "still",
        "false alarms",
        "missed",
        "seconds, median",
        "worst",
        title=f"{len(incidents)} recordings, {deaths} of a death",
    )
    for trial in again.simulate(incidents, numbers[0], [int(n) for n in numbers[1]], numbers[2]):
        table.add_row(
            f"{trial.terms.confirm_interval:g}",
            str(trial.terms.misses),
            f"{trial.terms.still:g}",
            f"{len(trial.false_alarms)} {', '.join(trial.false_alarms)}".strip(),
            str(len(trial.missed)),
            f"{statistics.median(trial.seconds):.2f}" if trial.seconds else "-",
            f"{max(trial.seconds):.2f}" if trial.seconds else "-",
        )
    print_table(table)
