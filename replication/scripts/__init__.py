"""Shell scripts that run on the database hosts, with nothing installed there but sshd and the server's own programs."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def script(name: str) -> str:
    """The text of one of them, with what it includes in place of its lines ``#include NAME``."""
    text = files(__name__).joinpath(name).read_text(encoding="utf-8")
    return re.sub(r"(?m)^#include (\S+)$", lambda line: script(line[1]).rstrip("\n"), text)
