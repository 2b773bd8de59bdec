"""The ways in which a server that a failover replaced may come back."""

from __future__ import annotations

from enum import StrEnum


class How(StrEnum):
    """What a person may ask for. ``auto``: what the facts allow."""

    AUTO = "auto"
    FOLLOW = "follow"
    RESCUE = "rescue"
    REWIND = "rewind"
    REBUILD = "rebuild"
