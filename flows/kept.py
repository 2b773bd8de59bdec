"""Records of runs that Prefect has not taken yet, on the manager's disk: a process may end before the API answers.

Each is one file below ``<workdir>/<cluster>.runs``, there from the end of its run until it is delivered: by the process
that ran it, and when that is gone by the next one that tells Prefect of the events of that cluster (`flows.events`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from flows.delivery import FlowRecord, Unanswered, deliver
from replication.errors import MhaError
from replication.own_files import ours, own_directory, written
from replication.processes import process_alive

log = logging.getLogger("mha")

#: Seconds that one request of a late delivery may take.
REQUEST = 10.0


class KeptRuns:
    """The undelivered runs of one cluster."""

    def __init__(self, workdir: Path, cluster: str) -> None:
        self._path = workdir / f"{cluster}.runs"

    def keep(self, record: FlowRecord) -> Path | None:
        """Write it down; None where the disk takes nothing more, which is told and stops nobody."""
        file = self._path / f"{time.time_ns():020}-{os.getpid()}.json"
        try:
            own_directory(self._path)
            with written(file) as out:
                out.write(record.model_dump_json())
        except OSError as error:
            log.error("The record of %s is lost for Prefect should it not answer now: %s", record.run_name, error)
            return None
        return file

    def left_behind(self) -> Iterator[Path]:
        """Those whose process is gone, the oldest first."""
        if not ours(self._path):
            return
        for file in sorted(self._path.glob("[0-9]*.json")):
            if not process_alive(int(file.stem.rpartition("-")[2])):
                yield file

    def deliver_left_behind(self) -> bool:
        """Put them into Prefect, in order; False as soon as it does not answer. One that it refuses is given up."""
        for file in self.left_behind():
            with contextlib.suppress(FileNotFoundError):
                try:
                    deliver(FlowRecord.model_validate_json(file.read_bytes()), REQUEST)
                except Unanswered:
                    return False
                except (MhaError, ValidationError) as error:
                    log.warning("Prefect does not take the record %s: %s", file.name, error)
                file.unlink()
        return True
