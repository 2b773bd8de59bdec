"""Shell scripts that run on the database hosts, with nothing installed there but sshd and the server's own programs."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def script(name: str) -> str:
    """The text of one of them; a line ``#include NAME`` stands for the whole of another."""
    text = files(__name__).joinpath(name).read_text(encoding="utf-8")
    return re.sub(r"^#include (\S+)$", lambda included: script(included[1]), text, flags=re.MULTILINE)
