"""The account that replicas are let in with while a dead primary's saved log is served to them: a name, used once.

The channel's password stays what it is, so nothing has to be read, asked for or restored. Nobody can guess the name, it
opens the saved log alone, for one rescue, to the configured servers; and whoever sees it in a replica's status knows
that this replica's source was made of files, and is gone. One letter of it tells what the channel had before and has to
have back, for a manager that does not have the journal of the one that turned it.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass

#: MySQL 5.6 takes 16 characters: one is the mark, and eleven are left to chance, 65 bits.
PREFIX, CHANCE = "mha.", 11
#: By the number whose bits are: TLS, its verification, the source's public key.
MARKS = "abcdefgh"
_LETTERS = string.ascii_letters + string.digits
_NAME = re.compile(rf"{re.escape(PREFIX)}[A-Za-z0-9]{{{1 + CHANCE}}}")


@dataclass(frozen=True)
class Marks:
    """What a channel had switched on before it was turned to a saved log."""

    ssl: bool = False
    ssl_verify: bool = False
    public_key: bool = False


def one_time_user() -> str:
    """A new name, of a channel that had nothing switched on."""
    return PREFIX + MARKS[0] + "".join(secrets.choice(_LETTERS) for _ in range(CHANCE))


def marked(user: str, marks: Marks) -> str:
    """The same name, as a channel with these marks has it."""
    return PREFIX + MARKS[marks.ssl + 2 * marks.ssl_verify + 4 * marks.public_key] + user[len(PREFIX) + 1 :]


def marks_of(user: str) -> Marks:
    """What such a name tells."""
    number = max(0, MARKS.find(user[len(PREFIX)]))
    return Marks(bool(number & 1), bool(number & 2), bool(number & 4))


def unmarked(user: str) -> str:
    """The name as it was made; any other name as it is."""
    return marked(user, Marks()) if is_one_time_user(user) else user


def is_one_time_user(user: str) -> bool:
    """Whether a channel's user is such a name."""
    return _NAME.fullmatch(user) is not None
