"""What a drill does to the primary."""

from __future__ import annotations

from enum import StrEnum


class DrillKind(StrEnum):
    """The value is the word of `drill_allowed` and of ``--kind``."""

    SWITCH = "switch"
    KILL = "kill"
    FREEZE = "freeze"
    POWER = "power"
    SSH_LOSS = "ssh-loss"

    @property
    def fails_over(self) -> bool:
        """A manager is to replace the primary."""
        return self in (DrillKind.KILL, DrillKind.FREEZE, DrillKind.POWER)


#: Seconds for which a primary is frozen, and for which its host takes no SSH from here, at most.
FROZEN, WITHOUT_SSH = 60, 20
#: What is done, in words.
DEEDS = {
    DrillKind.SWITCH: "Switch from {old} to the best replica, as planned",
    DrillKind.KILL: "Kill the mysqld of {old} (kill -9)",
    DrillKind.FREEZE: f"Freeze the mysqld of {{old}} (SIGSTOP); it is woken after {FROZEN} s, if it is there then",
    DrillKind.POWER: "Switch the host of {old} off, by drill_power_command",
    DrillKind.SSH_LOSS: f"Drop what the host of {{old}} answers to SSH from here, for {WITHOUT_SSH} s, and no more",
}
