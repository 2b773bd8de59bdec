"""Copies of the data: what else has a commit, how a replaced server becomes one again, and drills of it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

AutoRejoin = Literal["off", "follow"]
RebuildMethod = Literal["auto", "clone", "backup", "dump"]
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
        "the name of a [binlogN] block. With an even number of servers the first of them votes among managers.",
    )


class ReturnParameters(BaseModel):
    """Of one application."""

    model_config = ConfigDict(frozen=True)

    auto_rejoin: AutoRejoin = Field(
        "off",
        description="Modern: off or follow: a replaced server that comes back, and has nothing of its own, becomes a "
        "replica by itself.",
    )
    auto_rejoin_pause: float = Field(
        600.0,
        gt=0,
        allow_inf_nan=False,
        description="Modern: seconds within which this is not done twice with one server.",
    )
    rebuild_method: RebuildMethod = Field(
        "auto",
        description="Modern: auto, clone, backup or dump: how a server is given the data of another; auto: the "
        "first of these that its servers allow.",
    )
    rebuild_rate: int = Field(
        0, gt=-1, description="Modern: bytes a second that this reads from the other at most; 0: without limit."
    )
    rebuild_verify: float = Field(
        60.0,
        gt=-1,
        allow_inf_nan=False,
        description="Modern: seconds that the tables are compared with the primary's afterwards, on each; 0: not.",
    )
    keep_old_data: bool = Field(
        True,
        description="Modern: 1: the data that it had stays beside the new, under a name with the date; 0: until the "
        "new is verified.",
    )


class DrillParameters(BaseModel):
    """Of one application."""

    model_config = ConfigDict(frozen=True)

    drill_allowed: tuple[str, ...] = Field(
        (),
        description="Modern: the drills that may be held, of switch, kill, freeze, power, ssh-loss; none when not set.",
    )
    drill_window: str | None = Field(
        None,
        description="Modern: when one may begin, as 10:00-16:00, by this host's clock; at any time when not set.",
    )
    drill_pause: float = Field(
        24.0, gt=-1, allow_inf_nan=False, description="Modern: hours after a failover in which none is held."
    )
    drill_deadline: float = Field(
        900.0, gt=0, allow_inf_nan=False, description="Modern: seconds after which one goes no further."
    )
    drill_power_command: str | None = Field(
        None,
        description="Modern: switches a host off and on, for the drill power; it is run here, with --command=off or "
        "on, --host, --ip and --port.",
    )
    rto_target: float = Field(
        30.0, gt=0, allow_inf_nan=False, description="Modern: seconds without writes at most, or a drill has failed."
    )
