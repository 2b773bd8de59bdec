"""From whom a server gets its data, and how; or why it cannot have it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...meter import size
from ...model.refusal import Refusal
from ...model.state import GtidKind
from ...model.ways_back import How, Method
from ..diverged.beyond import beyond
from ..diverged.forbidden import of_those_below
from ..facts import RejoinFacts
from ..plan import RejoinPlan, of_both, of_the_account
from .copying import Copying
from .facts import DonorView, RebuildFacts, TargetView
from .left import PLACED, tells_itself

#: Bytes a second that each way brings where nothing bounds it: what the plan's seconds rest on.
USUAL = {Method.CLONE: 60e6, Method.BACKUP: 25e6, Method.DUMP: 6e6}
#: Bytes that stay free on the disk of the server.
SPARE = 64 << 20
#: Seconds behind the primary from which on a replica is the last one asked.
LATE = 60


def rebuild_plan(facts: RejoinFacts, about: RebuildFacts, *, wish: str, rate: int, keep: bool) -> RejoinPlan | Refusal:
    """A rejoin of a server that is given the data of another first. ``wish`` is a `Method`, or auto.

    What only it has is archived first where it is known where that begins; else its old data stays, whatever is wished.
    """
    if refusal := of_both(facts) or of_those_below(facts, "rebuilt") or of_the_account(facts):
        return refusal
    old, new, more = facts.old.name, facts.new.name, beyond(facts)
    place = facts.kind is not GtidKind.POSITION or (facts.replaced is not None and facts.replaced.place is not None)
    # What is beyond the primary on data that a rebuild put there is nobody's, until that has a place and GTIDs.
    ran = about.target.state == PLACED and tells_itself(facts.kind)
    archive = bool(more) and place and (ran or not about.target.old)
    keep = keep or (bool(more) and not archive)
    found = copying(old, about, wish=wish, rate=rate, keep=keep, archive=archive)
    if isinstance(found, Refusal):
        return found
    warned = list(warnings(found, about))
    if more and not archive:
        warned.append(
            f"what only {old} has is not copied to the manager: its old data stays ({more.what or more.unknown})"
        )
    if facts.not_durable:
        warned.append(facts.not_durable)
    after = "for good" if keep else f"until {old} is verified"
    return replace(
        RejoinPlan.about(facts, How.REBUILD),
        pointed=False,
        keeps=f"its old data in {found.room}/old {after}, {size(about.target.data)}",
        discards=f"what it has that {new} lacks" + (f": {more.what or more.unknown}" if more else ": nothing"),
        copies=f"all data of {found.donor_name} ({found.method}), about {size(found.bytes)}",
        warnings=tuple(warned),
        copying=found,
    )


def copying(name: str, facts: RebuildFacts, *, wish: str, rate: int, keep: bool, archive: bool) -> Copying | Refusal:
    """The donor and the method; the first that all of the facts allow, in the order of `Method` and of `ranked`."""
    if facts.target.trouble:
        return Refusal("no-host", f"The host of {name} cannot be used: {facts.target.trouble}.", "Fix that first.")
    if not facts.target.root:
        return Refusal(
            "no-rights",
            f"A rebuild of {name} stops its mysqld and moves its data, and the SSH user may not do that.",
            "Install the helper of root's: mha config sudoers (docs/security.md).",
        )
    if not facts.target.stoppable:
        return Refusal(
            "no-start",
            f"Nothing on the host of {name} tells how its mysqld is started, so it is not stopped.",
            "Set start_command in its block.",
        )
    wished = [Method(wish)] if wish != "auto" else list(Method)
    donors = ranked(facts.donors)
    if not donors:
        broken = "; ".join(f"{d.name}: {d.broken}" for d in facts.donors if d.broken)
        return Refusal(
            "no-donor",
            f"No server can give {name} its data" + (f": {broken}." if broken else "."),
            "Bring a replica of the primary into order, or the primary itself.",
        )
    whys: list[str] = []
    for method in wished:
        why = why_not(method, facts)
        for donor in donors if not why else ():
            why = why_not_from(donor, method, facts)
            if not why:
                return _from(donor, method, name, facts.target, rate=rate, keep=keep, archive=archive)
            whys.append(f"{method}: {why}")
        if why and f"{method}: {why}" not in whys:
            whys.append(f"{method}: {why}")
    return Refusal(
        "no-way", f"{name} cannot be rebuilt by any way that is allowed: {'; '.join(whys)}.", _REMEDY, tuple(whys)
    )


_REMEDY = "Fix what one of them lacks, or name another way: --method, or rebuild_method in the configuration."


def ranked(donors: tuple[DonorView, ...]) -> list[DonorView]:
    """Who may be asked, best first: a replica that is not late, then late ones, the primary last."""
    return sorted(
        (d for d in donors if not d.broken),
        key=lambda d: (d.primary, (d.behind if d.behind is not None else LATE) >= LATE, d.behind or 0),
    )


def why_not(method: Method, facts: RebuildFacts) -> str:
    """Why the server itself does not allow that way; empty where it does."""
    target = facts.target
    if target.apart:
        return f"{target.apart} lies outside of its data directory, and would stay with its old data"
    if method is Method.CLONE:
        if not facts.modern:
            return "this version has no clone plugin (MySQL 8.0.17 and newer have)"
        if target.clone not in ("active", "absent"):
            return f"its clone plugin cannot be used: {target.clone}"
        if not target.beside:
            return "its data directory is a file system of its own, and a clone has to lie beside it"
    elif method is Method.BACKUP:
        if not facts.maria:
            return "mariadb-backup is of MariaDB"
        if not target.backup or not target.mbstream:
            return "mariadb-backup is not on its host"
    else:
        if not target.client:
            return "the client program mysql is not on its host (client_bindir)"
        return facts.held
    return f"a part of its data lies elsewhere: {target.elsewhere}" if target.elsewhere else ""


def why_not_from(donor: DonorView, method: Method, facts: RebuildFacts) -> str:
    """Why that one cannot give its data that way."""
    if facts.by_position and (why := _no_place_of(donor, method)):
        return why
    if method is Method.CLONE and donor.clone not in ("active", "absent"):
        return f"the clone plugin of {donor.name} cannot be used: {donor.clone}"
    if method is not Method.CLONE and donor.ssh:
        return f"the host of {donor.name} cannot be asked: {donor.ssh}"
    if method is Method.BACKUP and donor.backup != facts.target.backup:
        return f"mariadb-backup {donor.backup or 'is not'} on the host of {donor.name}" + (
            f", {facts.target.backup} on its own" if donor.backup else ""
        )
    if method is Method.DUMP and not donor.dump:
        return f"mysqldump is not on the host of {donor.name} (client_bindir)"
    needed, free = room_for(donor, method, facts.target), facts.target.free
    if needed > free:
        return f"its disk has no room: {size(needed)} are needed beside what is there, {size(free)} are free"
    return ""


def _no_place_of(donor: DonorView, method: Method) -> str:
    """Why no place in the primary's log would say what its data has.

    It does of transactions that come one after the other; a clone has the tables in which parallel appliers note each.
    """
    if method is Method.CLONE and donor.primary:
        return f"without GTIDs a clone of {donor.name}, the primary, tells no place in its log"
    if method is Method.CLONE and donor.workers > 1 and not donor.in_order:
        return f"{donor.name} applies in parallel and in any order (replica_preserve_commit_order)"
    if method is Method.DUMP and donor.workers:
        return f"{donor.name} applies in parallel, and its place may lie before its data (replica_parallel_workers)"
    return ""


def room_for(donor: DonorView, method: Method, target: TargetView) -> int:
    """Bytes that have to be free: the copy beside the old data; for a dump a copy of the old, and what it grows by."""
    if method is Method.DUMP:
        return SPARE + (0 if target.old else target.data) + max(0, donor.bytes - target.data)
    return SPARE + donor.bytes


def _from(
    donor: DonorView, method: Method, name: str, target: TargetView, *, rate: int, keep: bool, archive: bool
) -> Copying:
    pace = min(USUAL[method], rate or USUAL[method])
    install = tuple(key for key, state in ((donor.key, donor.clone), (name, target.clone)) if state == "absent")
    return Copying(
        method=method,
        donor=donor.key,
        donor_name=donor.name,
        primary=donor.primary,
        bytes=donor.bytes,
        seconds=donor.bytes / pace,
        rate=rate,
        room=target.room,
        keep=keep,
        archive=archive,
        install=install if method is Method.CLONE else (),
    )


def warnings(plan: Copying, facts: RebuildFacts) -> Iterator[str]:
    """What a person should know before."""
    donor = next(d for d in facts.donors if d.key == plan.donor)
    if plan.primary:
        yield f"no replica can give its data, so {donor.name} does, the primary: its writers wait for a moment"
    if donor.unsafe and plan.method is Method.DUMP:
        named = ", ".join(donor.unsafe[:5])
        yield f"{len(donor.unsafe)} tables are of no transactional engine ({named}): a dump may have them torn"
    if facts.target.elsewhere:
        yield f"a part of its old data lies elsewhere, and is not kept: {facts.target.elsewhere}"
    if facts.target.kept:
        yield f"another rebuild left old data in {facts.target.kept}: it is kept under a name with the date"
    if facts.target.old:
        yield f"a rebuild was cut short: the data from before lies in {facts.target.old}, and stays the old data"
