"""What a command line or a deployment asks of one planned switch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SwitchOptions:
    """What a command line or a deployment asks of it; names are MHA's options.

    ``allow_super_writers`` goes on where nothing can keep accounts with SUPER out of the old primary.
    All limits are seconds, and so is ``deadline``: how long writes may be held before everything is taken back.
    """

    new_master_host: str | None = None
    new_master_port: int | None = None
    orig_master_is_new_slave: bool = False
    running_updates_limit: int = 1
    running_seconds_limit: int = 10
    seconds_behind_master: int = 30
    flush_tables: bool = True
    skip_lock_all_tables: bool = False
    check_only: bool = False
    remove_orig_master_conf: bool = False
    deadline: float = 10.0
    allow_super_writers: bool = False
