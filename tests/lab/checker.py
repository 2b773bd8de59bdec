"""What became of the rows: which were lost, whether the servers hold the same, and who took writes when."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from tests.lab.host import Host
from tests.lab.writer import Ack


@dataclass(frozen=True)
class Account:
    """``lost``: acknowledged rows that a server lacks, by server. ``digests``: of all tables, by server.

    ``extra``: rows that a server has and nobody acknowledged; a session that is cut off in a write leaves one at most.
    ``split``: two servers took rows in turns, as the number of the server says that every row carries.
    """

    acknowledged: int
    lost: dict[str, int]
    digests: dict[str, str]
    extra: dict[str, int]
    split: bool

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
    return _in_turns(order)


def _in_turns(order: Sequence[object]) -> bool:
    """Whether anything comes back after something else came."""
    changes = [each for number, each in enumerate(order) if number == 0 or order[number - 1] != each]
    return len(changes) != len(set(changes))


def rows_in_turns(taken: Iterable[tuple[int, int, int]]) -> bool:
    """Whether any session's rows, ``(writer, id, server)``, went to one server, to another, and to the first again.

    A row that two servers took counts as such, too: it is there twice, each time with another server.
    """
    rows = sorted(set(taken))
    if len({(writer, number) for writer, number, _ in rows}) != len(rows):
        return True
    return any(_in_turns([s for _, _, s in own]) for _, own in groupby(rows, key=lambda row: row[0]))


def _look(acks: Sequence[Ack], servers: Sequence[Host]) -> Account:
    wanted = {(a.writer, a.id) for a in acks}
    lost: dict[str, int] = {}
    extra: dict[str, int] = {}
    digests: dict[str, str] = {}
    taken: set[tuple[int, int, int]] = set()
    for server in servers:
        rows = {(r["writer"], r["id"], r["server"]) for r in server.sql("SELECT * FROM app.rows_written")}
        held = {(writer, number) for writer, number, _ in rows}
        lost[server.name], extra[server.name] = len(wanted - held), len(held - wanted)
        taken |= rows
        tables = [next(iter(r.values())) for r in server.sql("SHOW TABLES FROM app")]
        sums = server.sql(f"CHECKSUM TABLE {', '.join(f'app.`{t}`' for t in tables)}") if tables else []
        digests[server.name] = str([(r["Table"], r["Checksum"]) for r in sums])
    return Account(len(wanted), lost, digests, extra, rows_in_turns(taken))


def lent_settings(host: Host) -> dict[str, int]:
    """What is changed on a server while a log is applied there."""
    names = ("max_allowed_packet", "sync_binlog", "innodb_flush_log_at_trx_commit")
    return host.sql("SELECT " + ", ".join(f"@@global.{name} AS {name}" for name in names))[0]
