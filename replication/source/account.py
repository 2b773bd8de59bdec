"""The account of one rescue: made for it, known to nobody else, recognised by its name afterwards."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from ..model.one_time_account import one_time_user


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
