"""What hangs on a failover that somebody is asked about: the part of the dead primary's log that no replica received.

It is read where it lies, and nothing is changed; the rescue itself comes later, and looks for more.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ...config import ServerConfig
from ..binlog.cutter import survey
from ..cluster.pool import ConnectionPool
from ..errors import HostError, LogError
from ..model.position import BinlogPosition
from ..model.state import ServerState
from ..rescue.finding import find_logs, opened
from ..source.identity import known_of
from ..ssh.host import SshHost

#: Seconds for the whole look: a person waits for the question.
LOOK_WITHIN = 5.0
#: Bytes up to which transactions are counted: they travel for it.
COUNT_AT_MOST = 32 << 20
#: How reading may end where nothing that was acknowledged is missing.
AS_A_CRASH_LEAVES_IT = ("clean", "torn", "in_transaction")


@dataclass(frozen=True)
class Stake:
    """What only ``host`` has: ``bytes`` of its log, complete ``transactions``; None where nobody can tell.

    ``why_not`` is why it cannot be read, empty where it can.
    """

    host: str
    bytes: int | None = None
    transactions: int | None = None
    why_not: str = ""

    @property
    def may_be_lost(self) -> bool:
        """Whether a failover now may lose transactions."""
        return bool(self.why_not)

    def __str__(self) -> str:
        size = "" if self.bytes is None else f"{self.bytes:,} bytes"
        if self.why_not:
            return f"{size or 'nobody can tell how much'} that only {self.host} has, out of reach: {self.why_not}"
        if not self.bytes or self.transactions == 0:
            return "nothing, the replicas have received all"
        count = "" if self.transactions is None else f"{self.transactions:,} transactions, "
        return f"{count}{size} that only {self.host} has, rescued first over SSH"


def at_stake(
    sessions: ConnectionPool,
    dead: ServerConfig,
    states: Sequence[ServerState],
    received: BinlogPosition | None,
    ssh: bool,
) -> Stake:
    """Look, within `LOOK_WITHIN`. ``received`` is how far the most advanced replica is in the dead primary's log."""
    if not ssh:
        return Stake(dead.hostname, why_not="its host does not answer over SSH")
    if received is None:
        return Stake(dead.hostname, why_not="no replica tells how much it received")
    looking = partial(_look, dead=dead, states=states, received=received)
    ((_, found),) = sessions.each(looking, [sessions.host(dead.address)], timeout=LOOK_WITHIN)
    if isinstance(found, Stake):
        return found
    return Stake(dead.hostname, why_not=f"its log: {found or f'not read within {LOOK_WITHIN:g} s'}")


def _look(host: SshHost, *, dead: ServerConfig, states: Sequence[ServerState], received: BinlogPosition) -> Stake:
    theirs = [posixpath.dirname(state.log_bin_basename) for state in states if state.log_bin_basename]
    whose = known_of(dead, states)
    logs = find_logs(host, [*dead.master_binlog_dir, *theirs], received.file, whose, received.pos)
    size = max(0, sum(log.size for log in logs) - received.pos)
    if not 0 < size <= COUNT_AT_MOST:
        return Stake(dead.hostname, size)
    try:
        found = survey(opened(host, logs), received, lambda _: True)
    except (HostError, LogError) as error:
        return Stake(dead.hostname, size, why_not=f"its log: {error}")
    if found.end_reason.kind not in AS_A_CRASH_LEAVES_IT:
        return Stake(dead.hostname, size, found.transactions, why_not=f"its log: {found.end_reason}")
    return Stake(dead.hostname, size, found.transactions)
