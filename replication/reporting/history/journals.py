"""The journals of a cluster on this manager's disk, as incidents."""

from __future__ import annotations

from pathlib import Path

from ...memory.journal import journals, read_journal
from .incident import Incident, Kind
from .reading import history


def incidents(workdir: Path, cluster: str) -> tuple[Incident, ...]:
    """Everything that this manager's journals tell of a cluster, the oldest first. Raises OSError."""
    paths = [path for kind in Kind for path in journals(workdir, cluster, kind.value)]
    return history(cluster, ((path.name.removesuffix(".journal"), tuple(read_journal(path))) for path in paths))


def named(told: tuple[Incident, ...], id_: str) -> Incident | None:
    """The one that is meant: by its id, its journal's name or path, or a part such as the digits of its time.

    None where none is, or several are.
    """
    wanted = Path(id_).name.removesuffix(".journal")
    found = [each for each in told if wanted in (each.id, f"{each.cluster}.{each.id}")]
    found = found or [each for each in told if wanted and wanted in each.id]
    return found[0] if len(found) == 1 else None
