"""The page beside its journal, written when an incident has ended. Nothing depends on it."""

from __future__ import annotations

import logging
from pathlib import Path

from ...local.own_files import written
from ...memory.journal import Journal
from ..history.reading import incident_of

log = logging.getLogger("mha")


def write_page(journal: Journal, cluster: str, conf: Path) -> Path | None:
    """``<app>.incident-….html`` with mode 0600; None, and a line of the log, where it cannot be made."""
    try:
        # A template engine is nothing that a failover waits for, so it is loaded when writes are back.
        from .page import page

        name = journal.path.name.removesuffix(".journal")
        incident = incident_of(cluster, name, journal.entries())
        if incident is None:
            return None
        path = journal.path.with_name(f"{cluster}.incident-{incident.id}.html")
        with written(path, 0o600) as file:
            file.write(page(incident, str(conf)))
    except Exception as error:  # noqa: BLE001 - no exit code, report or notification may depend on a picture
        log.error("There is no page of %s: %s: %s", journal.path.name, type(error).__name__, error)
        return None
    log.info("What happened can be looked at: %s", path)
    return path
