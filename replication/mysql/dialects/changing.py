"""CHANGE REPLICATION SOURCE TO: where a replica is to read from next, and the options that are named beside it.

What such a statement does not name keeps its value, seen on 5.6, 9.7 and MariaDB 10.11: the password also when another
user is named, TLS files, retries, filters, IGNORE_SERVER_IDS. Heartbeats are the exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ...model.one_time_account import Marks, marked
from ...model.position import BinlogPosition
from ...model.state import ReplicaChannel


@dataclass(frozen=True)
class Repoint:
    """Where a replica is to read from next; everything not named here keeps its value on the server.

    ``how`` is "gtid" (MySQL auto-position), "mariadb_gtid" or "position"; ``position`` belongs to the last.
    ``using_gtid`` is MariaDB's Slave_Pos or Current_Pos. ``heartbeat`` is in seconds: MySQL resets it to half of
    slave_net_timeout in every CHANGE that does not name it (Reference Manual, CHANGE REPLICATION SOURCE TO). ``delay``
    (seconds), ``user``, ``ssl``, ``ssl_verify``, ``public_key`` and ``compression`` are named only where they are to
    differ.
    """

    host: str
    port: int
    how: str
    position: BinlogPosition | None = None
    using_gtid: str = "Slave_Pos"
    heartbeat: float | None = None
    delay: int | None = None
    user: str | None = None
    ssl: bool | None = None
    ssl_verify: bool | None = None
    public_key: bool | None = None
    compression: str | None = None


def options(p: str, to: Repoint) -> tuple[list[str], list[Any]]:
    """The options that are named, as parts with their parameters; ``p`` is SOURCE or MASTER."""
    named: list[tuple[str, Any]] = [(f"{p}_HEARTBEAT_PERIOD", to.heartbeat), (f"{p}_DELAY", to.delay)]
    named += [(f"{p}_USER", to.user)]
    switches = ((f"{p}_SSL", to.ssl), (f"{p}_SSL_VERIFY_SERVER_CERT", to.ssl_verify))
    named += [(name, None if value is None else int(value)) for name, value in switches]
    named += [(f"GET_{p}_PUBLIC_KEY", None if to.public_key is None else int(to.public_key))]
    named += [(f"{p}_COMPRESSION_ALGORITHMS", to.compression)]
    given = [(name, value) for name, value in named if value is not None]
    return [f"{name}=%s" for name, _ in given], [value for _, value in given]


@dataclass(frozen=True)
class ChannelOptions:
    """Of a channel that is turned to another source for a while: everything that this changes, as it was.

    ``heartbeat`` and ``delay`` are seconds; ``compression`` is what it may be sent as, empty where that is not known.
    The password is not in it: a CHANGE that names another user leaves it.
    """

    host: str
    port: int
    user: str
    ssl: bool
    ssl_verify: bool
    public_key: bool
    delay: int
    heartbeat: float | None
    how: str
    using_gtid: str
    compression: str = ""

    @classmethod
    def of(cls, channel: ReplicaChannel, heartbeat: float | None, how: str, compression: str = "") -> ChannelOptions:
        """As the channel is now."""
        return cls(
            channel.source_host,
            channel.source_port,
            channel.source_user,
            channel.ssl,
            channel.ssl_verify,
            channel.public_key,
            channel.delay,
            heartbeat,
            how,
            channel.using_gtid if channel.using_gtid != "No" else "Slave_Pos",
            compression,
        )

    @classmethod
    def parse(cls, facts: Mapping[str, Any]) -> ChannelOptions:
        """From plain data, as a journal keeps it. Raises KeyError."""
        known = {"compression": "", **facts}  # journals of before know none
        return cls(**{field.name: known[field.name] for field in fields(cls)})

    def away(self, host: str, port: int, user: str, position: BinlogPosition | None) -> Repoint:
        """To a source that speaks without TLS, knows this user alone, and sends what is to be executed at once.

        Nothing that could give the password away is allowed meanwhile: it is never asked for.
        """
        return Repoint(
            host=host,
            port=port,
            how=self.how,
            position=position,
            using_gtid=self.using_gtid,
            heartbeat=self.heartbeat,
            delay=0 if self.delay else None,
            user=marked(user, Marks(self.ssl, self.ssl_verify, self.public_key)),
            ssl=False if self.ssl else None,
            ssl_verify=False if self.ssl_verify else None,
            public_key=False if self.public_key else None,
            compression="uncompressed" if self._compressed else None,
        )

    def back(self, to: Repoint) -> Repoint:
        """The same place, with every option as it was before `away`."""
        return Repoint(
            host=to.host,
            port=to.port,
            how=to.how,
            position=to.position,
            using_gtid=to.using_gtid,
            heartbeat=self.heartbeat,
            delay=self.delay or to.delay,
            user=self.user,
            ssl=True if self.ssl else None,
            ssl_verify=True if self.ssl_verify else None,
            public_key=True if self.public_key else None,
            compression=self.compression if self._compressed else None,
        )

    @property
    def _compressed(self) -> bool:
        """It takes nothing as it is, and a source made of files sends nothing else."""
        return bool(self.compression) and "uncompressed" not in self.compression
