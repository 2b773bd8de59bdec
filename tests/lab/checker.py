"""What became of the rows: which were lost, whether the servers hold the same, and who took writes when."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.lab.host import Host
from tests.lab.writer import Ack


@dataclass(frozen=True)
class Account:
    """``lost``: acknowledged rows that a server lacks, by server. ``digests``: of all tables, by server."""

    acknowledged: int
    lost: dict[str, int]
    digests: dict[str, str]

    @property
    def rows_lost(self) -> int:
        """The worst of the servers."""
        return max(self.lost.values(), default=0)

    @property
    def equal(self) -> bool:
        """All servers hold the same data."""
        return len(set(self.digests.values())) == 1


def account(acks: Sequence[Ack], servers: Sequence[Host], *, seconds: float = 15.0) -> Account:
    """Compare; waits up to ``seconds`` for replicas to catch up, for lateness is no loss."""
    ends = time.monotonic() + seconds
    while True:
        result = _look(acks, servers)
        if (result.equal and not result.rows_lost) or time.monotonic() > ends:
            return result
        time.sleep(0.2)


def writers_overlap(acks: Sequence[Ack]) -> bool:
    """Whether two servers took writes in turns: after the first acknowledgement of one, the other must be silent."""
    order = [ack.host for ack in sorted(acks, key=lambda a: a.at)]
    turns = [host for number, host in enumerate(order) if number == 0 or order[number - 1] != host]
    return len(turns) != len(set(turns))


def _look(acks: Sequence[Ack], servers: Sequence[Host]) -> Account:
    wanted = {(a.writer, a.id) for a in acks}
    lost, digests = {}, {}
    for server in servers:
        rows = server.sql("SELECT writer, id FROM app.rows_written")
        lost[server.name] = len(wanted - {(r["writer"], r["id"]) for r in rows})
        tables = [next(iter(r.values())) for r in server.sql("SHOW TABLES FROM app")]
        sums = server.sql(f"CHECKSUM TABLE {', '.join(f'app.`{t}`' for t in tables)}") if tables else []
        digests[server.name] = str([(r["Table"], r["Checksum"]) for r in sums])
    return Account(len(wanted), lost, digests)
