"""The ways in which a server that a failover replaced may come back, and get the data of another."""

from __future__ import annotations

from enum import StrEnum


class How(StrEnum):
    """What a person may ask for. ``auto``: what the facts allow."""

    AUTO = "auto"
    FOLLOW = "follow"
    RESCUE = "rescue"
    REWIND = "rewind"
    REBUILD = "rebuild"


class Method(StrEnum):
    """By which means a server is given the data of another, best first."""

    CLONE = "clone"
    BACKUP = "backup"
    DUMP = "dump"
