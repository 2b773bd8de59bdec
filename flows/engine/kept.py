"""What Prefect is still to be told of runs, on the manager's disk: a process may end before the API answers.

Each record is one file below ``<workdir>/<cluster>.runs``, there from the end of its run until it is delivered. Who ran
it delivers it when its flow is left (`acting`, `standing`); what was not taken then is delivered by whoever tells
Prefect of the events of that cluster (`flows.engine.events`), in this process or, when that is gone, in the next one.
A run that stands by is an empty file there, so that one whose process died is ended as well.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from pydantic import ValidationError

from ...replication.errors import MhaError
from ...replication.local.own_files import ours, written
from ...replication.local.processes import process_alive
from ...replication.memory.spool import Spool, writer_lives
from .record import RunRecord, Unanswered, deliver, end_crashed

log = logging.getLogger("mha")

#: The files of runs of this process that their threads still deliver themselves.
_in_hand: set[Path] = set()


class KeptRuns(Spool):
    """The undelivered runs of one cluster."""

    what = "runs"

    def __init__(self, workdir: Path, cluster: str) -> None:
        super().__init__(workdir / f"{cluster}.runs")

    def keep(self, record: RunRecord) -> Path | None:
        """Write it down; None where the disk takes nothing more, which is told and stops nobody.

        It is the caller's until it is given to others (`let_go`), or delivered.
        """
        try:
            self.open()
            file = self.next_file()
            # Before it is there: another thread delivers what nobody has in hand.
            _in_hand.add(file)
            return self.put(record.model_dump_json(), file)
        except OSError as error:
            log.error("Prefect has no record of %s unless it answers now: %s", record.run_name, error)
            return None

    def let_go(self, file: Path) -> None:
        """From now on others may deliver it, of this process as well."""
        _in_hand.discard(file)

    def left_behind(self) -> Iterator[Path]:
        """Those that nobody has in hand, the oldest first."""
        mine = f"-{os.getpid()}-"
        for file in self.bounded():
            if not (file in _in_hand if mine in file.name else writer_lives(file)):
                yield file

    def mark_standing(self, run_id: UUID) -> Path:
        """Remember a flow run that this process stands in, until whoever left it in order deletes the file.

        A disk that takes nothing is no reason not to run.
        """
        file = self.path / f"standing-{run_id}-{os.getpid()}"
        with contextlib.suppress(OSError):
            self.open()
            with written(file):
                pass
        return file

    def left_standing(self) -> Iterator[tuple[Path, UUID]]:
        """The flow runs that nobody stands in any more: their processes died."""
        if not ours(self.path):
            return
        for file in self.path.glob("standing-*-*"):
            run_id, _, pid = file.name.removeprefix("standing-").rpartition("-")
            if pid.isdecimal() and not process_alive(int(pid)):
                with contextlib.suppress(ValueError):
                    yield file, UUID(run_id)

    def deliver_left_behind(self) -> bool:
        """Put them into Prefect, in order; False as soon as it does not answer. One that it refuses is given up."""
        for file in self.left_behind():
            with contextlib.suppress(FileNotFoundError):
                try:
                    deliver(RunRecord.model_validate_json(file.read_bytes()))
                except Unanswered:
                    return False
                except (MhaError, ValidationError) as error:
                    log.warning("Prefect does not take the record %s: %s", file.name, error)
                file.unlink()
        return self._end_left_standing()

    def _end_left_standing(self) -> bool:
        left = dict(self.left_standing())
        if not left:
            return True
        try:
            end_crashed(tuple(left.values()), "nobody acted in it since")
        except Unanswered:
            return False
        except MhaError as error:
            log.warning("%s", error)
        for file in left:
            file.unlink(missing_ok=True)
        return True
