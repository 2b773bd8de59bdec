"""`mha replay` and `mha simulate`: what today's detection would make of recorded incidents."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..shared.mha_options import GlobalConf, Plain, PlainOutput
from ..shared.options import DEFAULT_GLOBAL_CONF
from ..views.terminal import draw, print_document, print_wrapped, rows_table

app = typer.Typer()


@app.command(epilog="Example: `mha replay /var/lib/mha/app1/app1.incident-20260101120000.123.jsonl`")
def replay(
    file: Annotated[Path, typer.Argument(help="A recorded incident, APP.incident-….jsonl in manager_workdir.")],
    conf: Annotated[
        Path | None, typer.Option("--conf", "-c", help="Judge by this configuration; else by the recorded one.")
    ] = None,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    output: PlainOutput = Plain.TEXT,
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
    rows: list[dict[str, Any]] = []
    for moment in done.moments:
        row = moment.judgement.row
        if not rows or row.name != rows[-1]["row"] or moment.judgement.dead:
            words = {"row": row.name, "how sure": row.sure.value, "meaning": row.means}
            rows.append({"seconds": round(moment.seconds, 2), **words})
    verdict, end = done.verdict, incident.end
    today = "no failover"
    if verdict is not None:
        about = "about " if done.estimated else ""
        today = f"failover after {about}{verdict.seconds:.2f} s. {verdict.judgement.why}"
    then = f"failover after {end.get('seconds', 0.0):.2f} s, {end.get('row')}" if again.was_death(incident) else "none"
    trouble = incident.head.get("trouble", "")
    if output is Plain.JSON:
        seconds = round(verdict.seconds, 3) if verdict is not None else None
        known = {"file": file, "trouble": trouble, "moments": rows, "seconds": seconds, "today": today, "then": then}
        print_document("replay", known)
        return
    draw(rows_table(rows, title=f"{file.name}: {trouble}"))
    print_wrapped(f"Today: {today}.")
    print_wrapped(f"Then: {then}.")


@app.command(epilog="Example: `mha simulate /var/lib/mha/app1 --confirm 0.1,0.2,1 --misses 2,4`")
def simulate(
    directory: Annotated[Path, typer.Argument(help="A directory of recorded incidents.")],
    confirm: Annotated[str, typer.Option(help="Values of confirm_interval to try.")] = "0.05,0.2,1",
    misses: Annotated[str, typer.Option(help="Numbers of missed pings to try.")] = "2,4",
    still: Annotated[str, typer.Option(help="Seconds of silence or standstill to try.")] = "1,2.3,4",
    output: PlainOutput = Plain.TEXT,
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
    trials = again.simulate(incidents, numbers[0], [int(n) for n in numbers[1]], numbers[2])
    rows = [
        {
            "confirm_interval": trial.terms.confirm_interval,
            "misses": trial.terms.misses,
            "still": trial.terms.still,
            "median": round(statistics.median(trial.seconds), 2) if trial.seconds else None,
            "worst": round(max(trial.seconds), 2) if trial.seconds else None,
            "missed": len(trial.missed),
            "false alarms": f"{len(trial.false_alarms)} {', '.join(trial.false_alarms)}".strip(),
        }
        for trial in trials
    ]
    if output is Plain.JSON:
        print_document("simulate", {"recordings": len(incidents), "deaths": deaths, "trials": rows})
        return
    draw(rows_table(rows, title=f"{len(incidents)} recordings, {deaths} of a death; seconds until it is seen"))
