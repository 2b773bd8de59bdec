"""A rewind that was begun: by whom it is ended, and what forbids any other way. Pure."""

from __future__ import annotations

from ...model.refusal import Refusal
from ...model.ways_back import How
from ..facts import RejoinFacts
from ..remembered.rewound import DIFFERS
from .beyond import Beyond


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
