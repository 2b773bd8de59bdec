"""``docs/performance.md`` and its charts, from the series that ``make bench`` keeps in ``docs/performance/``.

``python -m tests.lab.performance``: draw all of it anew. ``--begin DIRECTORY``: note the machine, the date and the load
there, before anything is measured. ``--add DIRECTORY``: what the benchmarks wrote there becomes the newest series, then
draw. A series is one JSON file: the seconds of each run, where and when; old ones stay, so a slower release is seen.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_mha.replication.reporting.history.text import seconds
from prefect_mha.replication.reporting.pictures.bars import Amount, bars
from prefect_mha.replication.reporting.pictures.drawn import bars_image
from tests.lab.cluster import HOUSE
from tests.lab.faults import FAULTS

DOCS = HOUSE / "docs"
SERIES, FORMAT = DOCS / "performance", "mha-bench/1"
#: A median that is so much more than that of the series before is called slower; older series than these are not drawn.
SLOWER, SHOWN = 1.2, 4
#: What the benchmarks of a run write, and what of each run is a figure: case and seconds.
WRITTEN = ("failover", "switch", "rescue", "overhead")
#: What is told of MHA: seconds, of which cases. It is not run here.
MHA = {"kill -9": 26.0, "frozen": 22.5, "switch": 0.5}


@dataclass(frozen=True)
class Group:
    """One chart: its name, its title, and what one reads from it."""

    name: str
    title: str
    told: str


GROUPS = (
    Group(
        "failover",
        "A primary dies: seconds until writes are back",
        "From the fault to the first row that an application wrote on the new primary.",
    ),
    Group(
        "switch",
        "A planned switch: how long writes are held",
        "From the last row that the old primary acknowledged to the first of the new one, under load.",
    ),
    Group(
        "rescue",
        "What only the dead host has: saved and executed",
        "100,000 transactions (rows), and 500 MB (bytes); beside it `mysqlbinlog | mysql` of the same files.",
    ),
    Group(
        "overhead",
        "What Prefect costs: from a failover's beginning to its opening",
        "The same steps without Prefect, in a run that a command enters, and in the flow run of a deployment.",
    ),
)


@dataclass(frozen=True)
class Series:
    """One `make bench`: ``figures`` are by group and case the seconds of every run. ``load`` is None where unknown."""

    date: str
    revision: str
    machine: str
    load: float | None
    note: str
    figures: dict[str, dict[str, list[float]]]

    @property
    def under(self) -> str:
        """What stands under a figure of it."""
        load = f"load {self.load:.1f} before it" if self.load is not None else "its load was not noted"
        return f"{self.date}, revision {self.revision}, {self.machine}; {load}" + (
            f"; {self.note}" if self.note else ""
        )


def figures(directory: Path) -> dict[str, dict[str, list[float]]]:
    """Of the JSON files that the benchmarks wrote; a benchmark that was not run is left out."""
    found: dict[str, dict[str, list[float]]] = {}
    for group in WRITTEN:
        path = directory / f"{group}.json"
        cases: dict[str, list[float]] = {}
        for run in json.loads(path.read_text()) if path.exists() else ():
            for case, took in _of_run(group, run):
                # Of one that did not come to its end there is no figure.
                if took != float("inf"):
                    cases.setdefault(case, []).append(round(took, 4))
        if cases:
            found[group] = cases
    return found


def _of_run(group: str, run: dict[str, Any]) -> Iterator[tuple[str, float]]:
    if group == "failover":
        state = f" ({run['prefect']})" if "Prefect" in run["case"] else ""
        yield run["case"] + state, run["writes_back"]
    elif group == "switch":
        yield from ((run["mode"], each["block"]) for each in run["switches"])
    elif group == "rescue":
        name = f"{run['case']}, {run['tail']}"
        yield name, run["save"] + run["cut"] + run["apply"]
        yield f"{name}: mysqlbinlog | mysql", run["bound"] or run["relaxed"]
    else:
        yield run["way"], run["writes"]


def begin(directory: Path) -> None:
    """What is known before anything is measured."""
    directory.mkdir(parents=True, exist_ok=True)
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores ({cpu[1] if cpu else 'unknown'}), {memory:.0f} GiB, Linux {os.uname().release}"
    git = subprocess.run(
        ["git", "rev-parse", "--short=7", "HEAD"], cwd=HOUSE, capture_output=True, text=True, check=True
    )
    told = {"date": time.strftime("%Y-%m-%d %H:%M"), "revision": git.stdout.strip(), "machine": machine}
    (directory / "begun.json").write_text(json.dumps(told | {"load": round(os.getloadavg()[0], 1), "note": ""}))


def add(directory: Path) -> Path:
    """Keep what was measured as a series of its own; the file."""
    told = json.loads((directory / "begun.json").read_text())
    path = SERIES / f"{told['date'][:10]}-{told['revision']}.json"
    path.write_text(json.dumps({"format": FORMAT, **told, "figures": figures(directory)}, indent=1) + "\n")
    return path


def read() -> tuple[Series, ...]:
    """The newest first. Raises ValueError for a file of another format."""
    found = []
    for path in SERIES.glob("*.json"):
        told = json.loads(path.read_text())
        if told.pop("format") != FORMAT:
            raise ValueError(f"{path} is no {FORMAT}")
        found.append(Series(**told))
    return tuple(sorted(found, key=lambda each: each.date, reverse=True))


def bound(group: str, case: str) -> float | None:
    """What the median is to stay within."""
    fault = FAULTS.get(case.partition(",")[0])
    return fault.back if group == "failover" and fault is not None else None


def pages(series: tuple[Series, ...]) -> dict[Path, str]:
    """The page and its pictures, by path; its beginning is `performance.md` beside this file."""
    made: dict[Path, str] = {}
    parts = [Path(__file__).with_suffix(".md").read_text(encoding="utf-8").strip()]
    for group in GROUPS:
        having = [each for each in series if group.name in each.figures][:SHOWN]
        parts += ["", f"## {group.title}", "", group.told, ""]
        if not having:
            parts.append("Not measured yet by a `make bench` that is kept here.")
            continue
        parts += _table(group.name, having)
        picture = f"bench-{group.name}.svg"
        made[DOCS / "pictures" / picture] = bars_image(bars(list(_amounts(group.name, having)), seconds), group.title)
        parts += ["", f"![{group.title}](pictures/{picture})", "", *(f"- {each.under}" for each in having)]
    return {DOCS / "performance.md": "\n".join(parts) + "\n", **made}


def _table(group: str, having: list[Series]) -> Iterator[str]:
    newest, before = having[0], having[1] if len(having) > 1 else None
    yield "| | median | runs | worst | wanted at most | MHA | MHA to this | the series before |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for case, took in newest.figures[group].items():
        middle, wanted = statistics.median(took), bound(group, case)
        mha = MHA.get("switch" if group == "switch" else case.partition(",")[0]) if ", Prefect" not in case else None
        old = before.figures[group].get(case) if before is not None else None
        cells = (
            case.replace("|", "\\|"),
            seconds(middle),
            str(len(took)),
            seconds(max(took)),
            "" if wanted is None else f"{seconds(wanted)}{'' if middle <= wanted else ' **missed**'}",
            "" if mha is None else seconds(mha),
            "" if mha is None else f"{mha / middle:.0f} times",
            "" if old is None else f"{seconds(statistics.median(old))}{_slower(middle, old)}",
        )
        yield f"| {' | '.join(cells)} |"


def _slower(middle: float, old: list[float]) -> str:
    return ": **slower now**" if middle > SLOWER * statistics.median(old) else ""


def _amounts(group: str, having: list[Series]) -> Iterator[Amount]:
    """A case's series below each other, the newest first."""
    for case in dict.fromkeys(case for each in having for case in each.figures[group]):
        with_it = [each for each in having if case in each.figures[group]]
        for number, each in enumerate(with_it):
            took = each.figures[group][case]
            middle, worst, wanted = statistics.median(took), max(took), bound(group, case)
            older = with_it[number + 1].figures[group][case] if number + 1 < len(with_it) else None
            slower = older is not None and middle > SLOWER * statistics.median(older)
            missed = wanted is not None and middle > wanted
            words = f"{seconds(middle)}, worst {seconds(worst)}{', SLOWER' if slower else ''}"
            parts = ((1, middle, f"median of {len(took)}: {seconds(middle)}"), (3, worst - middle, "up to the worst"))
            yield Amount(case if not number else "", each.revision, parts, words, slower or missed)


def main() -> int:
    """Draw, and before that add."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.performance", description=__doc__)
    parser.add_argument("--begin", type=Path, help="note there on which machine, and how busy it is")
    parser.add_argument("--add", type=Path, help="what was measured there becomes a series")
    given = parser.parse_args()
    if given.begin is not None:
        begin(given.begin)
        return 0
    if given.add is not None:
        print(f"wrote {add(given.add)}")
    for path, text in pages(read()).items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(HOUSE)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
