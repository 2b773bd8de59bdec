"""Who runs this process, for what is remembered of it."""

from __future__ import annotations

import functools
import getpass
import os
import socket


@functools.cache
def this_person() -> str:
    """``user@host``; of who became root by sudo the former name, and without any the number.

    A directory of users may be asked for it, which takes its time: a manager does it at its start.
    """
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # no login name for this user id
        name = f"user {os.geteuid()}"
    return f"{name}@{socket.gethostname()}"
