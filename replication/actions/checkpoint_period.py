"""How late a replica with parallel appliers tells its place: shortened while a switch waits for that place.

MySQL's parallel applier brings its executed place up to date once in a checkpoint period (300 ms), and SOURCE_POS_WAIT
waits for that. Who waits for GTIDs does not notice (Reference Manual, replica_checkpoint_period).
"""

from __future__ import annotations

from ..mysql.server import Server, shown

#: Milliseconds while a switch waits. Each checkpoint that finds something new costs a commit.
SHORT = 10

_WORKERS = ("replica_parallel_workers", "slave_parallel_workers")
_PERIODS = ("replica_checkpoint_period", "slave_checkpoint_period")


def shorten(server: Server) -> tuple[str, int] | None:
    """What has to be set for `set_period`, and its value now (milliseconds); None where it makes no difference."""
    names = (*_WORKERS, *_PERIODS)
    told = shown(server, names, action="read how often it notes its place")
    values = {name: int(value) for name, value in told.items()}
    workers = next((values[name] for name in _WORKERS if name in values), 0)
    period = next((name for name in _PERIODS if name in values), "")
    return (period, values[period]) if workers and period and values[period] > SHORT else None


def set_period(server: Server, variable: str, milliseconds: int) -> None:
    """Note the place this often from now on; running channels follow at once."""
    assert variable in _PERIODS
    server.query(f"SET GLOBAL {variable} = {milliseconds:d}", action="set how often it notes its place")
