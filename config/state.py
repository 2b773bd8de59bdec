"""Where a manager keeps its state when nobody says where: never in a directory that everybody may write to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

#: MHA's default, where it may have left state that still holds.
FORMER = Path("/var/tmp")  # noqa: S108 - only looked at


def state_directory() -> Path:
    """``/var/lib/mha`` for root, else ``mha`` in the user's own state directory (XDG Base Directory Specification)."""
    if os.geteuid() == 0:
        return Path("/var/lib/mha")
    own = os.environ.get("XDG_STATE_HOME", "")
    if own.startswith("/"):
        return Path(own) / "mha"
    try:
        return Path("~/.local/state/mha").expanduser()
    except RuntimeError:  # a user without a name and a home, as containers have
        return Path("/var/lib/mha")


def left_in_former(app: str, directory: Path) -> bool:
    """Whether state of this application, written by this user, lies in `FORMER`, and none in ``directory``."""
    try:
        found = [path.lstat() for path in FORMER.glob(f"{_plain(app)}.*")]
        ours = any(stat.S_ISREG(each.st_mode) and each.st_uid == os.geteuid() for each in found)
        return ours and not any(directory.glob(f"{_plain(app)}.*"))
    except OSError:
        return False


def _plain(app: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in app)
