"""The journals of a cluster on this manager's disk, as incidents."""

from __future__ import annotations

from pathlib import Path

from ...memory.journal import Entry, journals, read_journal
from .incident import Incident, Kind
from .reading import history


def incidents(workdir: Path, cluster: str) -> tuple[Incident, ...]:
    """Everything that this manager's journals tell of a cluster, the oldest first. Raises OSError."""
    paths = [path for kind in Kind for path in journals(workdir, cluster, kind.value)]
    return history(cluster, (_read(path) for path in paths))


def newest(workdir: Path, cluster: str, *kinds: Kind) -> Incident | None:
    """The one (of these kinds) whose journal was written last, and what closed it; older journals are not read.

    Raises OSError.
    """
    paths = [path for kind in kinds or Kind for path in journals(workdir, cluster, kind.value)]
    later: list[tuple[str, tuple[Entry, ...]]] = []
    for path in sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True):
        later.append(_read(path))
        if told := history(cluster, later):
            return told[-1]
    return None


def _read(path: Path) -> tuple[str, tuple[Entry, ...]]:
    return path.name.removesuffix(".journal"), tuple(read_journal(path))


def named(told: tuple[Incident, ...], id_: str) -> Incident | None:
    """The one that is meant: by its id, its journal's name or path, or a part such as the digits of its time.

    None where none is, or several are.
    """
    wanted = Path(id_).name.removesuffix(".journal")
    found = [each for each in told if wanted in (each.id, f"{each.cluster}.{each.id}")]
    found = found or [each for each in told if wanted and wanted in each.id]
    return found[0] if len(found) == 1 else None
