"""The account of one rescue: made for it, known to nobody else, recognised by its name afterwards."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

#: How the name of every such account begins: a replica that still names one points at a source that is gone.
ACCOUNT_PREFIX = "mha_tail_"


@dataclass(frozen=True)
class Account:
    """A name of at most 16 characters (MySQL 5.6) and a password of at most 32 (MySQL's limit for a channel)."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def new(cls) -> Account:
        """One that was never used before."""
        return cls(ACCOUNT_PREFIX + secrets.token_hex(3), secrets.token_hex(15))


def is_rescue_account(user: str) -> bool:
    """Whether a channel's user is one of a rescue, whoever made it."""
    return user.startswith(ACCOUNT_PREFIX)
