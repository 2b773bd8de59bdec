"""What is done about an old server that is back: it follows, or why it may not, and what to do by hand. Pure.

The plan is one object: `--dry-run` prints it, the question shows it, the runbook executes it unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ..model.position import BinlogPosition
from ..model.refusal import Refusal
from ..model.state import GtidKind
from ..model.ways_back import How
from .diverged.beyond import Beyond, beyond
from .diverged.forbidden import of_a_rewind, of_those_below, of_what_it_lost, rewinds_by
from .facts import RejoinFacts
from .rebuild.copying import Copying
from .remembered.rewound import RESETTING

#: What a refusal says where only new data helps.
BY_HAND = {
    How.REBUILD: "Give it the data of another server: --how=rebuild.",
}

#: What may be done about a server that has more than the primary.
OWN_DATA = (
    "--how=rescue copies its own transactions off its host, lists them, and compares them with what the primary "
    "changed meanwhile; with --replay it repeats there what is in nobody's way. --how=rewind takes them back, and "
    "makes it a replica."
)

#: What may be done about a replica that has more.
ERRANT = (
    "--how=rescue copies them to the manager, lists them, and compares them with what the primary changed meanwhile; "
    "with --replay it repeats there what is in nobody's way. --how=empties commits empty ones in their place (MySQL)."
)

#: Refusals that no later look changes: only for them is one that was cut short taken back.
TAKEN_BACK = frozenset({"has-more", "may-have-more", "purged", "lost-its-end"})
_LOOK = "See with mysqlbinlog what its log has since it was replaced."


@dataclass(frozen=True)
class RejoinPlan:
    """One rejoin: the old server follows the new primary (both ``ip:port``), and how.

    ``position`` is the place in the new primary's log to begin at, without GTIDs. ``pointed``: it points there already,
    as an interrupted rejoin left it. ``traces`` is what fencing left on its host, ``block`` that its block is to be
    written into the configuration again. ``keeps``, ``discards`` and ``copies`` say in words what becomes of its data;
    ``copying`` is how it gets that of another server first; ``errant`` are the GTIDs that get empty transactions.
    """

    cluster: str
    old: str
    old_name: str
    new: str
    new_name: str
    how: How
    kind: GtidKind
    channel: str
    user: str
    position: BinlogPosition | None
    pointed: bool
    held: bool
    traces: tuple[str, ...]
    block: bool
    keeps: str = ""
    discards: str = ""
    copies: str = ""
    warnings: tuple[str, ...] = ()
    copying: Copying | None = None
    errant: str = ""

    @classmethod
    def about(cls, facts: RejoinFacts, how: How) -> RejoinPlan:
        """What every way has in common; what becomes of its data is to be added."""
        return cls(
            cluster=facts.cluster,
            old=facts.old.key,
            old_name=facts.old.name,
            new=facts.new.key,
            new_name=facts.new.name,
            how=how,
            kind=facts.kind,
            channel=facts.channel,
            user=facts.user,
            position=None,
            pointed=facts.follows is not None,
            held=facts.hold is not None,
            traces=facts.hold.traces if facts.hold is not None else (),
            block=not facts.configured,
        )

    @property
    def steps(self) -> tuple[str, ...]:
        """What will be done, in order, in words."""
        return tuple(self._steps())

    def _steps(self) -> Iterator[str]:
        if self.how is How.EMPTIES:
            yield f"Copy these transactions from the log of {self.old_name} to the manager, proven and synced"
            yield f"Commit an empty transaction with each of their GTIDs on {self.new_name}, from where replicas get it"
            return
        if self.how is How.RESCUE:
            yield f"Copy what only {self.old_name} has from its log to the manager, prove it by its sum, and sync it"
            yield f"List each of its transactions, and compare its rows with what {self.new_name} changed meanwhile"
            yield f"Replay on {self.new_name} what was chosen and is in nobody's way; of all others, report and SQL"
            yield f"With all of it there, make {self.old_name} a replica, and take back here what comes back from there"
            return
        if self.copying is not None:
            yield f"Close {self.old_name} to writers"
            yield from self.copying.steps(self.old_name)
        elif self.how is How.REWIND:
            yield f"Close {self.old_name} to writers, and copy what only it has to the manager, proven and synced"
            yield "See in its log that all of it can be taken back: whole images of rows, InnoDB, nothing else"
            yield "Turn its row events round and execute them, the last one first, with nothing of it in its log"
            yield f"Delete its binary logs, and set that it has executed what {self.new_name} has, too"
        else:
            yield f"Close {self.old_name} to writers, and look once more whether it has more than {self.new_name}"
        if not self.pointed:
            where = f" at {self.position}" if self.position is not None else f" by {self.kind}"
            yield f"Point {self.old_name} at {self.new_name}{where}, as {self.user}"
        if self.how is How.REWIND:
            yield f"Let it execute up to a place at which the tables that were changed are summed on {self.new_name}"
            yield "Compare their sums: with any difference it is stopped again, and stays read-only"
        yield f"Start replication and see both halves run, and that it executes what {self.new_name} sends"
        if self.held:
            yield f"Hold {self.old_name} no longer: it stays read-only, as a replica is"
        if self.traces:
            yield f"Take back what fencing left on its host: {', '.join(self.traces)}"
        if self.block:
            yield "Write its block into the configuration again"

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON and the journal."""
        position = str(self.position) if self.position is not None else ""
        return {**asdict(self), "position": position, "steps": list(self.steps)}

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> RejoinPlan:
        """From plain data, as a journal keeps it. Raises KeyError, ValueError."""
        known = {field.name: told[field.name] for field in fields(cls) if field.name in told}
        known.update(
            how=How(told["how"]),
            kind=GtidKind(told["kind"]),
            position=BinlogPosition.parse(told["position"]) if told["position"] else None,
            traces=tuple(told["traces"]),
            warnings=tuple(told["warnings"]),
            copying=Copying.parse(told["copying"]) if told.get("copying") else None,
        )
        return cls(**known)


def rejoin_plan(facts: RejoinFacts, how: How = How.AUTO) -> RejoinPlan | Refusal:
    """What is to be done, or why nothing may be. What cannot be known counts as *it has more*."""
    more = beyond(facts)
    if how is How.RESCUE:
        return _rescue(facts, more)
    rewinds = rewinds_by(facts, more, how)
    refusal = (
        _of_the_servers(facts)
        or (of_those_below(facts, "taken back") if rewinds else None)
        or of_a_rewind(facts, rewinds=rewinds)
        or (None if rewinds and (more.what or facts.rewound) else _of_its_data(facts, more))
        or _of_the_way(facts, rewinds=rewinds)
    )
    if refusal is not None:
        return refusal
    old, new = facts.old.name, facts.new.name
    return replace(
        RejoinPlan.about(facts, How.REWIND if rewinds else How.FOLLOW),
        position=_begins_at(facts),
        keeps=f"what {new} has, too" if rewinds else f"all data of {old}: it has nothing that {new} lacks",
        discards=f"its own {more.what or 'transactions'}, kept on the manager" if rewinds else "nothing",
        copies=f"what {new} wrote since, by replication",
        warnings=tuple(_warnings(facts)),
    )


def _rescue(facts: RejoinFacts, more: Beyond) -> RejoinPlan | Refusal:
    """What only it has is read and copied; no server is changed, so what else is true of it does not matter."""
    old, new = facts.old.name, facts.new.name
    if not more:
        return Refusal("nothing-to-rescue", f"{old} has nothing that {new} lacks.", "Make it a replica: --how=follow.")
    by_place = facts.kind is GtidKind.POSITION
    if by_place and (facts.replaced is None or facts.replaced.place is None):
        return Refusal(
            "no-place", f"Where to begin in the log of {old} is not known: {more.unknown}.", _LOOK, facts.evidence
        )
    return replace(
        RejoinPlan.about(facts, How.RESCUE),
        position=facts.replaced.place if by_place and facts.replaced is not None else None,
        traces=(),
        block=False,
        keeps="all of its data: it is left as it is",
        discards="nothing",
        copies=f"nothing; what {new} lacks is copied from it to the manager: {more.what or more.unknown}",
        warnings=(),
    )


def unattended(facts: RejoinFacts, plan: RejoinPlan) -> str:
    """Why nobody may follow this plan without a person, in words; empty when it may be."""
    if facts.hold is None and not facts.unfinished:
        return f"{facts.old.name} is not one that a failover replaced"
    if facts.there is not None and not facts.unfinished:
        return f"{facts.old.name} points at {facts.new.name} already, and somebody may have stopped it on purpose"
    if facts.not_durable:
        return facts.not_durable
    return plan.warnings[0] if plan.warnings else ""


def of_both(facts: RejoinFacts) -> Refusal | None:
    """Why the one may be no replica of the other, whatever data it has."""
    old, new = facts.old, facts.new
    if old.key == new.key:
        return Refusal(
            "is-the-primary", f"{old.name} is the primary of {facts.cluster}.", "Name the server that is back."
        )
    if not new.writable:
        return Refusal(
            "primary-read-only",
            f"{new.name}, which {old.name} is to follow, takes no writes.",
            "Look at that first: mha status, mha check-repl.",
        )
    if old.vendor is not new.vendor or old.major < new.major:
        return Refusal(
            "older-than-primary",
            f"{old.name} ({old.version_text}) cannot be a replica of {new.name} ({new.version_text}): a source may not "
            "be newer than its replica, nor of another vendor.",
            "Upgrade it first.",
        )
    if facts.source_id_taken:
        return Refusal(
            "server-id-taken",
            f"{old.name} has the server_id {old.server_id} of {facts.source_id_taken}: what one wrote the other would "
            "skip.",
            "Give it a server_id of its own, and restart it.",
        )
    return None


def _of_the_servers(facts: RejoinFacts) -> Refusal | None:
    old, new = facts.old, facts.new
    there, held = facts.there, facts.hold is not None or facts.unfinished
    if there is not None and not held and there.receiver != "No" and there.applier_running:
        if more := beyond(facts).what:
            return Refusal(
                "errant",
                f"{old.name} replicates from {new.name}, and has what that lacks: {more}.",
                f"{ERRANT} {BY_HAND[How.REBUILD]}",
                facts.evidence,
            )
        return Refusal(
            "already-a-replica",
            f"{old.name} replicates from {new.name} already, and nothing holds it: it is left as it is.",
            "Name the server that is back.",
        )
    if refusal := of_both(facts):
        return refusal
    for other in (c for c in old.channels if c is not facts.follows):
        if other.receiver != "No" or other.applier_running or other.received != other.executed:
            return Refusal(
                "replicates-elsewhere",
                f"{old.name} replicates from {other.source_host}:{other.source_port}, or has received from there what "
                "it has not executed.",
                f"Stop that and forget it (RESET REPLICA ALL) if it is to follow {new.name} alone.",
            )
    return None


def _of_its_data(facts: RejoinFacts, more: Beyond) -> Refusal | None:
    old, new = facts.old.name, facts.new.name
    if more.what:
        return Refusal(
            "has-more",
            f"{old} has what {new} lacks, and may not follow it: {more.what}.",
            f"{OWN_DATA} Do not point it at {new}: it would replicate without an error and hold other data.",
            facts.evidence,
        )
    if more.unknown:
        return Refusal(
            "may-have-more",
            f"It cannot be known whether {old} has what {new} lacks, and it may not follow it: {more.unknown}.",
            f"{_LOOK} {BY_HAND[How.REBUILD]}",
            facts.evidence,
        )
    return None


def _of_the_way(facts: RejoinFacts, *, rewinds: bool) -> Refusal | None:
    old, new, pointed = facts.old.name, facts.new.name, facts.follows is not None
    if facts.kind is GtidKind.POSITION and not pointed and (refusal := _of_the_place(facts, rewinds=rewinds)):
        return refusal
    if refusal := of_what_it_lost(facts, BY_HAND[How.REBUILD]):
        return refusal
    if facts.purged:
        return Refusal(
            "purged",
            f"{new} has purged logs that {old} needs: {facts.purged}.",
            BY_HAND[How.REBUILD],
            facts.evidence,
        )
    return None if pointed else of_the_account(facts)


def of_the_account(facts: RejoinFacts) -> Refusal | None:
    """Why it could not log in at the primary."""
    if facts.user and facts.password:
        return None
    missing = "repl_password" if facts.user else "repl_user"
    return Refusal(
        "replication-credentials",
        f"{missing} is not set, and how the other replicas log in at {facts.new.name} cannot be read: "
        f"{facts.old.name} cannot be made one.",
        f"Set {missing} in the configuration.",
    )


def _of_the_place(facts: RejoinFacts, *, rewinds: bool) -> Refusal | None:
    """Without GTIDs the two logs meet at one place only, which has to be known, and to be there still."""
    old, new, replaced, there = facts.old.name, facts.new.name, facts.replaced, facts.there
    if there is not None:
        return Refusal(
            "no-place",
            f"{old} points at {new} by {there.gtid_kind}, at {there.executed or 'no place'}, and no rejoin of this "
            "host brought it there: nothing tells whether that place is right.",
            f"If you know that it is, start replication there yourself. {BY_HAND[How.REBUILD]}",
            facts.evidence,
        )
    if replaced is None or replaced.begins is None:
        return Refusal(
            "no-place",
            f"It is not known at which place of its log {new} began to take writes, so {old} cannot begin there.",
            BY_HAND[How.REBUILD],
            facts.evidence,
        )
    if replaced.new != facts.new.key:
        return Refusal(
            "replaced-since",
            f"{old} was replaced by {replaced.new}, and {new} is the primary by now: without GTIDs nothing tells where "
            "in its log to begin.",
            BY_HAND[How.REBUILD],
            facts.evidence,
        )
    resetting = facts.rewound is not None and facts.rewound.state == RESETTING
    if replaced.place is not None and not resetting and (facts.log_ends is None or facts.log_ends < replaced.place):
        return Refusal(
            "lost-its-end",
            f"{new} had the log of {old} up to {replaced.place}, and that log ends at {facts.log_ends or 'no place'} "
            "now: its disk lost what others received.",
            BY_HAND[How.REBUILD],
            facts.evidence,
        )
    if not facts.begins:
        return Refusal(
            "purged",
            f"{new} has purged {replaced.begins.file}, which {old} needs.",
            BY_HAND[How.REBUILD],
            facts.evidence,
        )
    # What it wrote itself is in its log, and rewinding proves that nobody else wrote what is there: nothing of what it
    # replicated, where its log would have that.
    proven = rewinds and (facts.old.log_replica_updates or not facts.pointed)
    if not proven and not _has_executed_nothing_since(facts):
        return Refusal(
            "no-place",
            f"{old} may have executed already what {new} wrote since {replaced.begins}, and would execute it twice: "
            "its own log does not tell (log_replica_updates), nor does its hold.",
            BY_HAND[How.REBUILD],
            facts.evidence,
        )
    return None


def _has_executed_nothing_since(facts: RejoinFacts) -> bool:
    """By its own log, where that has what it replicates; else as it was held since, and no rejoin pointed it."""
    tail, hold, replaced = facts.tail, facts.hold, facts.replaced
    if facts.old.log_replica_updates and tail is not None and tail.whole and not tail.events:
        return True
    return not facts.pointed and hold is not None and replaced is not None and hold.instead == replaced.new


def _begins_at(facts: RejoinFacts) -> BinlogPosition | None:
    if facts.kind is not GtidKind.POSITION or facts.follows is not None:
        return None
    return facts.replaced.begins if facts.replaced is not None else None


def _warnings(facts: RejoinFacts) -> Iterator[str]:
    if facts.not_durable:
        yield facts.not_durable
    if facts.below and not facts.old.log_replica_updates:
        yield f"{', '.join(facts.below)} replicate from it, and get nothing more: it does not log what it receives"
    if facts.events:
        yield (
            f"{len(facts.events)} scheduled events are enabled on {facts.old.name} ({', '.join(facts.events[:5])}): "
            "its event scheduler is turned off; disable them for its next restart"
        )
