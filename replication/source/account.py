"""The account of one rescue: made for it, known to nobody else, recognised by its name afterwards."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from ..model.one_time_account import PREFIX, is_one_time_user, one_time_user

#: How the name of every such account begins: a replica that still names one points at a source that is gone.
ACCOUNT_PREFIX = PREFIX


@dataclass(frozen=True)
class Account:
    """A name of 16 characters (MySQL 5.6) and a password of at most 32 (MySQL's limit for a channel).

    With an empty password the name, which nobody can guess, lets in alone: a channel keeps its own password when its
    user is changed, so a replica is turned to a source and back without anybody knowing it.
    """

    user: str
    password: str = field(repr=False)

    @classmethod
    def new(cls) -> Account:
        """One that was never used before."""
        return cls(one_time_user(), secrets.token_hex(15))


def is_rescue_account(user: str) -> bool:
    """Whether a channel's user is one of a rescue, whoever made it."""
    return is_one_time_user(user)
