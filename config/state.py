"""Where a manager keeps its state when nobody says where: never in a directory that everybody may write to."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from .errors import ConfigError
from .forms.ini import parse_ini
from .forms.raw import Value, decode, read_bytes

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


def written_state_directory(conf: Path, global_conf: Path | None) -> tuple[Path, str] | None:
    """Where an application's files say that its manager's state is, and a sum of all that they say.

    Nothing of it is validated, so whoever goes by it has to have the sum of files that were. None for what only the
    loader can tell: a file that is wrong, or in the other form.
    """
    said: dict[str, Value] = {}
    total = hashlib.sha256()
    try:
        for path in _there(global_conf, conf):
            if path.suffix == ".toml":
                return None
            data = read_bytes(path)
            total.update(b"%d " % len(data) + data)
            said |= parse_ini(decode(data), path).defaults()
    except ConfigError:
        return None
    given = said.get("manager_workdir")
    return Path(given.text) if given and given.text else state_directory(), total.hexdigest()


def _there(global_conf: Path | None, conf: Path) -> Iterator[Path]:
    if global_conf is not None and global_conf.exists():
        yield global_conf
    yield conf


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
