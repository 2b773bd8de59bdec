"""Room on the manager's disk that is set aside while there is some, so that a full disk does not forbid a failover.

A failover that cannot remember must not act (design rule 6), so it must be able to: ``<app>.reserve`` holds real blocks
for the journal, the record of who is held, the ledger and the flags of one failover. It is given up the moment that one
of them meets a full disk, and made again by the next start that finds room.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from pathlib import Path

from .own_files import make_directory, open_own

log = logging.getLogger("mha")

#: Bytes that are set aside: a failover of a hundred servers writes a tenth of it.
SIZE = 4 << 20
#: What a disk says that takes no more.
FULL = (errno.ENOSPC, errno.EDQUOT)
_SUFFIX = ".reserve"


def keep(workdir: Path, app: str) -> str:
    """Set the room aside unless it is; returns why that cannot be done, in words, empty when it is there."""
    path = workdir / f"{app}{_SUFFIX}"
    try:
        make_directory(workdir)
        descriptor = open_own(path, os.O_WRONLY | os.O_CREAT)
        try:
            if os.fstat(descriptor).st_blocks * 512 < SIZE:
                os.posix_fallocate(descriptor, 0, SIZE)
        finally:
            os.close(descriptor)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return f"no room can be set aside for the journal of a failover in {workdir}: {error.strerror}"
    return ""


def spend(beside: Path) -> bool:
    """Give up the room that was set aside for the application that ``beside`` is a file of. False without any."""
    for path in beside.parent.glob(f"*{_SUFFIX}"):
        if not beside.name.startswith(f"{path.name.removesuffix(_SUFFIX)}."):
            continue
        with contextlib.suppress(OSError):
            path.unlink()
            log.error("The disk of %s is full: what was set aside for a failover is used now.", beside.parent)
            return True
    return False
