"""What forbids a way back: a rewind that was begun, data that it lost, servers that hang on its log. Pure."""

from __future__ import annotations

from ...model.refusal import Refusal
from ...model.ways_back import How
from ..facts import RejoinFacts
from ..remembered.rewound import DIFFERS
from .beyond import Beyond, lost_of


def rewinds_by(facts: RejoinFacts, more: Beyond, how: How) -> bool:
    """Whether that way rewinds: one that was begun is ended where no other way is asked for, too.

    A server with nothing of its own only follows.
    """
    begun = facts.rewound is not None and facts.rewound.open
    return begun if how is How.AUTO else how is How.REWIND and (begun or bool(more))


def of_a_rewind(facts: RejoinFacts, *, rewinds: bool) -> Refusal | None:
    """What an earlier one leaves behind: data that are not proven to be equal, or are proven not to be."""
    rewound, old, new = facts.rewound, facts.old.name, facts.new.name
    if rewound is not None and rewound.state == DIFFERS:
        return Refusal(
            "differs",
            f"{old} was rewound, and differs from {new} all the same: {rewound.why or ', '.join(rewound.tables)}.",
            "Its own transactions are kept on the manager. Rebuild it: --how=rebuild.",
            facts.evidence,
        )
    if rewound is not None and rewound.open and not rewinds:
        return Refusal(
            "rewind-cut-short",
            f"{old} was being rewound when that was cut short: nothing proves yet that its data are those of {new}.",
            "Go on with it: --how=rewind.",
            facts.evidence,
        )
    return None


def of_those_below(facts: RejoinFacts, what: str) -> Refusal | None:
    """Why a server may not lose its log: who replicates from it would go on at a place of another one."""
    if not facts.below:
        return None
    old, new, names = facts.old.name, facts.new.name, ", ".join(facts.below)
    return Refusal(
        "has-replicas",
        f"{old} cannot be {what} while others replicate from it: {names}. Its log begins anew, and what they "
        "have of it they would keep.",
        f"Make them replicas of {new} first (--host=…), or forget their channel (RESET REPLICA ALL).",
        facts.evidence,
    )


def of_what_it_lost(facts: RejoinFacts, remedy: str) -> Refusal | None:
    """By GTIDs; without them the place where the two logs meet tells."""
    lost = lost_of(facts)
    if not lost:
        return None
    old, new = facts.old.name, facts.new.name
    return Refusal(
        "lost-its-end",
        f"{new} has of {old} what that has no more: {lost}. Its disk lost it, or its data is older, and as a replica "
        "it would pass over what bears its own server_id.",
        remedy,
        facts.evidence,
    )
