"""The page beside its journal, and what Prefect shows of it, when an incident has ended. Nothing depends on them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from ...local.own_files import written
from ...memory.journal import Journal
from ..history.reading import incident_of

log = logging.getLogger("mha")


@dataclass(frozen=True)
class Looks:
    """What there is to look at: the page's path, and Markdown that begins with the sentence; empty for none."""

    page: str = ""
    head: str = ""


def write_page(journal: Journal, cluster: str, conf: Path) -> Looks:
    """``<app>.incident-….html`` with mode 0600; what cannot be made is empty, and one line of the log says why."""
    looks = Looks()
    try:
        # A template engine is nothing that a failover waits for, so it is loaded when writes are back.
        from .page import head, page

        name = journal.path.name.removesuffix(".journal")
        incident = incident_of(cluster, name, journal.entries())
        if incident is None:
            return looks
        looks = Looks(head=head(incident, str(conf)))
        path = journal.path.with_name(f"{cluster}.incident-{incident.id}.html")
        with written(path, 0o600) as file:
            file.write(page(incident, str(conf)))
    except Exception as error:  # noqa: BLE001 - no exit code, report or notification may depend on a picture
        log.error("There is no page of %s: %s: %s", journal.path.name, type(error).__name__, error)
        return looks
    log.info("What happened can be looked at: %s", path)
    return Looks(str(path), looks.head)
