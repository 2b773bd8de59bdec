"""What was seen of the servers that may give their data, and of the host that is to take it: frozen, no secrets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DonorView:
    """A server that has the primary's data: the primary itself, or a replica of it.

    ``behind`` are seconds, None where nobody tells; ``broken`` is why it may not give its data, in words. ``bytes`` are
    those of its data. ``clone`` says whether its clone plugin is there (``active``), may be installed (``absent``), or
    what is wrong with it; ``backup`` is the version of its mariadb-backup, ``dump`` whether its host has the dumping
    program; each empty where there is none. ``unsafe`` are tables that are of no transactional engine. ``ssh`` is why
    its host cannot be asked. ``workers`` are its parallel appliers, ``in_order`` whether they commit in that of its
    source.
    """

    key: str
    name: str
    primary: bool
    bytes: int
    behind: int | None = None
    broken: str = ""
    clone: str = ""
    backup: str = ""
    dump: bool = False
    unsafe: tuple[str, ...] = ()
    ssh: str = ""
    workers: int = 0
    in_order: bool = True


@dataclass(frozen=True)
class TargetView:
    """The host and the server that is to take the data. ``data`` and ``free`` are bytes.

    ``beside``: its data directory has room beside it on the same file system. ``state`` is what a rebuild that was cut
    short left, ``old`` where that has the old data, ``of`` the journal of who left it, ``kept`` where
    another rebuild than the one that is gone on with left old data. ``elsewhere`` is what lies in other directories,
    ``apart`` what of InnoDB does without which no data is whole.
    ``stoppable``: its host tells how it is started again. ``trouble`` is why the host cannot be asked.
    """

    data: int = 0
    free: int = 0
    beside: bool = True
    room: str = ""
    state: str = ""
    old: str = ""
    clone: str = ""
    backup: str = ""
    mbstream: bool = False
    client: bool = False
    of: str = ""
    kept: str = ""
    elsewhere: str = ""
    apart: str = ""
    stoppable: bool = True
    root: bool = True
    trouble: str = ""


@dataclass(frozen=True)
class RebuildFacts:
    """All of it. ``held`` is why a dump cannot be loaded, in words: a manager holds the server super_read_only.

    ``modern``: CLONE is known to this version. ``maria``: they are MariaDB's. ``by_position``: a place in the primary's
    log says what data has, and no GTIDs.
    """

    donors: tuple[DonorView, ...]
    target: TargetView
    modern: bool
    maria: bool
    held: str = ""
    by_position: bool = False
