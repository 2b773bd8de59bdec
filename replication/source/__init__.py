"""A replication source made of files: a dead primary's binary logs, served to the replicas' own receivers.

A replica that asks it cannot tell the difference: it gets the saved events byte for byte, under the names and positions
of the dead primary's log or by GTID, and executes them with its own applier.

- `catalogue`: what is served: logs in order, each up to its last proven boundary. It may grow while it is served.
- `proving`: reads logs and publishes what is whole.
- `identity`: whether a log is the dead primary's, before a byte of it is served.
- `rebuilt`: the primary's log as a replica's relay logs hold it.
- `server`: the listener, `Source`; `session` speaks with one follower: `packets`, `handshake`, `queries`, `stream`.
"""

from .account import Account
from .catalogue import Catalogue, Identity, Served
from .followers import ServedFollower
from .proving import Prover
from .server import Source, facing

__all__ = [
    "Account",
    "Catalogue",
    "Identity",
    "Prover",
    "Served",
    "ServedFollower",
    "Source",
    "facing",
]
