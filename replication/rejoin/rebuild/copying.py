"""How a server is given the data of another: the part of a rejoin's plan that says it. Pure data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ...meter import size
from ...model.ways_back import Method


@dataclass(frozen=True)
class Copying:
    """What is copied: from the ``donor`` (``ip:port``), about ``bytes`` of it, ``rate`` of them a second at most (0: as
    fast as it goes), which takes about ``seconds``.

    ``primary``: the donor is the primary, as no replica may be one. ``room`` is the directory on the host of the new
    one in which the old data waits. ``keep``: it stays there afterwards. ``archive``: what only the old server has is
    copied off its host first. ``install`` are the servers (``ip:port``) that are given the clone plugin.
    """

    method: Method
    donor: str
    donor_name: str
    primary: bool
    bytes: int
    seconds: float
    rate: int
    room: str
    keep: bool
    archive: bool
    install: tuple[str, ...] = ()

    def steps(self, server: str) -> Iterator[str]:
        """In words, in order, until ``server`` has the data."""
        if self.archive:
            yield f"Copy what only {server} has from its log to the manager, prove it by its sum, and sync it"
        if self.install:
            yield f"Install the clone plugin on {', '.join(self.install)}, whose super_read_only is lent for that"
        amount = f"about {size(self.bytes)}, {self.seconds:.0f} s"
        bound = f", at most {size(self.rate)}/s" if self.rate else ""
        if self.method is Method.DUMP:
            yield f"Stop {server}, copy its old data to {self.room}/old, start it read-only"
            yield f"Load a dump of {self.donor_name} ({amount}{bound})"
        else:
            how = "Clone" if self.method is Method.CLONE else "Copy by mariadb-backup"
            yield f"{how} {self.donor_name} to {self.room}/new ({amount}{bound})"
            yield f"Stop {server}, move its old data to {self.room}/old and the new in, start it read-only"

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> Copying:
        """From plain data. Raises KeyError, ValueError."""
        known = {field.name: told[field.name] for field in fields(cls)}
        return cls(**{**known, "method": Method(told["method"]), "install": tuple(told["install"])})
