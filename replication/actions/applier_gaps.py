"""Gaps that MySQL's parallel appliers leave when they are stopped: one executed what comes after another's part."""

from __future__ import annotations

import time

from ..errors import DeadlineExceeded
from ..fencing.everyone import start_replication
from ..mysql.dialects import ChannelThread
from ..mysql.server import Server

#: ER_MTS_CHANGE_MASTER_CANT_RUN_WITH_GAPS: they did not note down together how far each of them was. On 5.6 seen of
#: replicas that lacked nothing.
GAPS = 1802
#: Seconds that filling them may take, and between two looks.
FILLED_WITHIN, LOOK_EVERY = 20.0, 0.02
_ACTION = "fill the gaps that its appliers left"


def fill_gaps(server: Server, channel: str) -> None:
    """The way that error 1802 names. What is executed are transactions that the relay logs hold; its end is a stop.

    Raises StatementFailed, DeadlineExceeded.
    """
    start_replication(server, channel, action=_ACTION, timeout=65.0, fill_gaps=True)
    ends = time.monotonic() + FILLED_WITHIN
    while True:
        seen = next((c for c in server.observe().channels if c.name == channel), None)
        if seen is None or not seen.applier_running or seen.has_read_all:
            break
        if time.monotonic() > ends:
            raise DeadlineExceeded(f"{server}: {_ACTION}", FILLED_WITHIN, seen.applier_state)
        time.sleep(LOOK_EVERY)
    # With GTIDs 5.6 does not end by itself where there was no gap.
    server.query(server.dialect.stop(channel, ChannelThread.APPLIER), action="stop its applier", timeout=65.0)
