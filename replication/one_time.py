"""The account that replicas are let in with while a dead primary's saved log is served to them: a name, used once.

The channel's password stays what it is, so nothing has to be read, asked for or restored. Nobody can guess the name, it
opens the saved log alone, for one rescue, to the configured servers; and whoever sees it in a replica's status knows
that this replica's source was made of files, and is gone.
"""

from __future__ import annotations

import re
import secrets
import string

#: MySQL 5.6 takes 16 characters, so twelve are left to chance: 71 bits.
PREFIX, CHANCE = "mha.", 12
_LETTERS = string.ascii_letters + string.digits
_NAME = re.compile(rf"{re.escape(PREFIX)}[A-Za-z0-9]{{{CHANCE}}}")


def one_time_user() -> str:
    """A new name."""
    return PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(CHANCE))


def is_one_time_user(user: str) -> bool:
    """Whether a channel's user is such a name."""
    return _NAME.fullmatch(user) is not None
