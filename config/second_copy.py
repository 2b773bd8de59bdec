"""What else knows of a commit, and of its primary: disks that acknowledge, and hosts without a server that look."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SemiSyncPolicy = Literal["off", "prefer", "require"]


class SecondCopyParameters(BaseModel):
    """Of one application."""

    model_config = ConfigDict(frozen=True)

    semi_sync: SemiSyncPolicy = Field(
        "off",
        description="Modern: off, prefer or require: whether commits have to lie on a second disk before they are "
        "acknowledged. prefer: checks ask for it; require: a new primary is opened only when its commits wait for it.",
    )
    witness: tuple[str, ...] = Field(
        (),
        description="Modern: further hosts that are asked over SSH whether they reach a primary: host or host:port, or "
        "the name of a [binlogN] block.",
    )
