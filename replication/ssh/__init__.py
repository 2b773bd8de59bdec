"""A database host over SSH: login, one kept session, commands and files, each with a deadline.

What is asked of a host is written elsewhere (`replication.probes`, `replication.fencing`).
"""

from __future__ import annotations

import sys
from typing import Any

# paramiko imports invoke, which takes longer than paramiko itself, for `Match exec` of an ssh_config: `login` takes
# that out, and nobody is to run a program for it.
if "paramiko" not in sys.modules and "invoke" not in sys.modules:
    absent: dict[str, Any] = {"invoke": None}
    sys.modules.update(absent)
    try:
        import paramiko  # noqa: F401
    finally:
        del sys.modules["invoke"]
