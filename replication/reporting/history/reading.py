"""From the entries of journals to incidents. Pure; nothing in a journal, of whatever version, makes it fail.

A journal is read as what may stand in it: lines of older versions, which lack facts, lines that were cut, values of
another kind than they should be. What is missing is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...memory.journal import AGAIN, BEGIN, DRILL, END, REJOIN, SWITCH, VERDICT, Entry
from ...planning.role_plan import short_name
from ..approval import APPROVAL, Answer
from ..ledger import from_json
from ..outage import outage_of
from .incident import Asked, Ended, Incident, Kind, Seen, Step

#: The entry that says what is begun; its name is the kind's.
BEGINNINGS = {Kind.FAILOVER: BEGIN, Kind.SWITCH: SWITCH, Kind.REJOIN: REJOIN, Kind.DRILL: DRILL}
#: Seconds since the epoch (the year 2999) after which nothing is a time.
LATEST = 32_500_000_000
#: By whom a rejoin is that nobody asked for.
MANAGER = "manager"
#: What a journal does not say.
UNTOLD = "?"

_NAMED = re.compile(r"(.+)\(([^()]+:\d+)\)")
_EXIT = {0: Ended.DONE, 10: Ended.PARTLY}


def history(cluster: str, journals: Iterable[tuple[str, Sequence[Entry]]]) -> tuple[Incident, ...]:
    """All incidents of a cluster, the oldest first. ``journals`` are names without ``.journal``, and the entries.

    A journal in which nothing began is none of its own: it may only close an earlier one.
    """
    # One after the other becomes what is kept of it: all entries of all of them would be much.
    read = [(entries[0].at if entries else 0.0, _read(cluster, name, entries)) for name, entries in journals]
    told: list[Incident] = []
    for _, made in sorted(read, key=lambda each: each[0]):
        if isinstance(made, Incident):
            if made.resumed:
                _close(told, made.kind, made.old, f"{made.id} went on with it: {made.ended}")
            told.append(made)
        elif made is not None:
            _close(told, *made)
    return tuple(told)


def _read(cluster: str, name: str, entries: Sequence[Entry]) -> Incident | tuple[Kind, str, str] | None:
    """What began in a journal; or of which kind, of whom it closes one that is there, and its words; or nothing."""
    if (made := incident_of(cluster, name, entries)) is not None:
        return made
    end, kind = _end(entries), _kind(cluster, name)
    if end is None or kind is None:
        return None
    return kind, _names(entries).get(end.server, end.server), _text(end.facts, "summary") or "closed by another run"


def _close(told: list[Incident], kind: Kind, old: str, words: str) -> None:
    for at in range(len(told) - 1, -1, -1):
        if told[at].kind is kind and told[at].ended is Ended.OPEN and _same(told[at].old, old):
            told[at] = told[at].finished(words)
            return


def _same(one: str, other: str) -> bool:
    return one == other or one.endswith(f"({other})") or other.endswith(f"({one})")


def incident_of(cluster: str, name: str, entries: Sequence[Entry]) -> Incident | None:
    """What one journal tells; ``name`` is its file's without ``.journal``. None where nothing was begun in it."""
    kind, entries = _kind(cluster, name), [entry for entry in entries if _is_time(entry.at)]
    verdict = next((e for e in entries if e.step == VERDICT), None)
    first = next((e for e in entries if kind is not None and (e.step, e.event) == (BEGINNINGS[kind], "began")), None)
    began = first or verdict
    if kind is None or began is None:
        return None
    names, end = _names(entries), _end(entries)
    facts: Mapping[str, Any] = end.facts if end is not None else {}
    given = first.facts if first is not None else {}
    ledger, ended = facts.get("ledger"), _ended(end)
    new = _new(kind, given, facts, entries, names)
    went = new is not None and kind in (Kind.FAILOVER, Kind.DRILL)
    went = went or (kind is Kind.SWITCH and ended in (Ended.DONE, Ended.PARTLY))
    card = facts.get("scorecard") if kind is Kind.DRILL else None
    return Incident(
        id=name.removeprefix(f"{cluster}."),
        cluster=cluster,
        kind=kind,
        began=entries[0].at,
        ended_at=end.at if end is not None else None,
        ended=ended,
        old=names.get(began.server, began.server),
        new=new,
        why=_why(kind, given, verdict),
        asked=_asked(kind, given, verdict, entries),
        opened=went,
        exit_code=_whole(facts.get("exit_code")),
        summary=_text(facts, "summary"),
        resumed=given.get("resumed") is True,
        out=outage_of(facts, _span(facts.get("out")), _number(facts.get("out_unseen"))),
        held=_number(facts.get("held_seconds")),
        ledger=from_json(ledger) if isinstance(ledger, list) else None,
        discards=_discards(given),
        steps=tuple(_steps(entries)),
        replicas=_pairs(facts.get("replicas")),
        not_recovered=_lines(facts.get("not_recovered")),
        left_out=_pairs(facts.get("left_out")),
        chosen_for=_lines(facts.get("chosen_for")),
        fenced=_text(facts, "fenced"),
        saved=_text(facts, "saved"),
        address=_lines(facts.get("address")),
        notes=_lines(facts.get("notes")),
        refusal=_text(facts, "refusal"),
        remedy=_text(facts, "remedy") or "",
        evidence=_lines(facts.get("evidence")),
        scorecard=card if isinstance(card, dict) else None,
        seen=tuple(_seen(verdict.facts.get("seen") if verdict is not None else None)),
        again=tuple(
            Seen(e.at, short_name(e.server), f"{e.step}: {_text(e.facts, 'error') or UNTOLD}")
            for e in entries
            if e.event == AGAIN
        ),
    )


def _kind(cluster: str, name: str) -> Kind | None:
    word = name.removeprefix(f"{cluster}.").partition("-")[0]
    return next((kind for kind in Kind if kind == word), None)


def _end(entries: Iterable[Entry]) -> Entry | None:
    return next((e for e in entries if e.step == END), None)


def _ended(end: Entry | None) -> Ended:
    if end is None:
        return Ended.OPEN
    code = _whole(end.facts.get("exit_code"))
    if code is None:
        return Ended.CLOSED
    return _EXIT.get(code, Ended.REFUSED if end.facts.get("refusal") else Ended.NOT_DONE)


def _names(entries: Iterable[Entry]) -> dict[str, str]:
    """By ``ip:port``, the whole name of every server that an entry names so, or that the plans do."""
    found: dict[str, str] = {}
    for entry in entries:
        if match := _NAMED.fullmatch(entry.server):
            found.setdefault(match[2], entry.server)
        plan = entry.facts.get("plan")
        for told in (entry.facts, plan if isinstance(plan, dict) else {}):
            for key in ("old", "new"):
                if (address := _text(told, key)) and (name := _text(told, f"{key}_name")):
                    found.setdefault(address, name)
    return found


def _new(
    kind: Kind,
    given: Mapping[str, Any],
    facts: Mapping[str, Any],
    entries: Sequence[Entry],
    names: Mapping[str, str],
) -> str | None:
    """Who took the role; of a switch that was not done who was to, of a rejoin whom it follows."""
    if said := _text(facts, "new_primary") or _text(facts, "primary"):
        return said
    if kind is Kind.SWITCH:
        return _text(given, "new_name")
    if kind is Kind.REJOIN:
        plan = given.get("plan")
        return _text(plan, "new_name") if isinstance(plan, dict) else None
    opened = None
    for entry in entries:
        if entry.step == "promote":
            opened = entry.server if entry.event == "intent" else None
    return names.get(opened, opened) if opened else None


def _discards(given: Mapping[str, Any]) -> str | None:
    plan = given.get("plan")
    return _text(plan, "discards") if isinstance(plan, dict) else None


def _why(kind: Kind, given: Mapping[str, Any], verdict: Entry | None) -> str | None:
    if verdict is not None:
        return _text(verdict.facts, "why")
    if kind is Kind.SWITCH:
        return "a planned switch"
    if kind is Kind.DRILL:
        return f"a drill: {_text(given, 'kind') or 'unknown'}"
    if kind is Kind.REJOIN:
        plan = given.get("plan")
        how = _text(plan, "how") if isinstance(plan, dict) else None
        return f"the server was back ({how})" if how else "the server was back"
    return "a person found the primary dead" if _text(given, "by") else None


def _asked(kind: Kind, given: Mapping[str, Any], verdict: Entry | None, entries: Iterable[Entry]) -> Asked:
    by = _text(given, "by")
    automatic = verdict is not None or (kind is Kind.REJOIN and by == MANAGER)
    told = [e.facts for e in entries if e.step == APPROVAL]
    return Asked(automatic, None if by == MANAGER else by, _answer(told[-1]) if told else None)


def _answer(facts: Mapping[str, Any]) -> Answer | None:
    by, where, at = _text(facts, "by"), _text(facts, "where"), _number(facts.get("at"))
    if by is None or where is None or at is None:
        return None
    loss = facts.get("accept_loss")
    accept = loss if isinstance(loss, bool) else None
    return Answer(facts.get("go_on") is True, _text(facts, "new_primary") or "", by, where, at, accept)


def _seen(told: Any) -> Iterator[Seen]:
    """Of the verdict's observations; what is not one is left out."""
    for each in told if isinstance(told, list) else ():
        if isinstance(each, dict) and (at := _number(each.get("at"))) is not None:
            source, who, found = (_text(each, key) or UNTOLD for key in ("source", "who", "finding"))
            yield Seen(at, who, f"{source} ({short_name(who)}): {found}", _number(each.get("took")) or 0.0)


def _steps(entries: Sequence[Entry]) -> Iterator[Step]:
    """Each ``began`` with its ``done`` or ``failed``, in the order in which they began; several may run at a time."""
    begun: list[Entry] = []
    going: dict[tuple[str, str], list[int]] = {}
    ends: dict[int, Entry] = {}
    for entry in entries:
        mine = going.setdefault((entry.step, entry.server), [])
        if entry.event == "began" and entry.step not in BEGINNINGS.values():
            mine.append(len(begun))
            begun.append(entry)
        elif entry.event in ("done", "failed") and mine:
            ends[mine.pop(0)] = entry
    for number, entry in enumerate(begun):
        end = ends.get(number)
        if end is None:
            yield Step(entry.step, short_name(entry.server), entry.at, None, None)
            continue
        said = _text(end.facts, "error") or ""
        seconds = max(0.0, end.at - entry.at)
        yield Step(entry.step, short_name(entry.server), entry.at, seconds, end.event == "done", said)


def _text(facts: Mapping[str, Any], key: str) -> str | None:
    said = facts.get(key)
    return said if isinstance(said, str) and said else None


def _number(said: Any) -> float | None:
    return float(said) if isinstance(said, int | float) and not isinstance(said, bool) and _is_time(said) else None


def _is_time(said: float) -> bool:
    """A number of seconds, or a time, that can be shown; no NaN either."""
    return 0 <= said < LATEST


def _whole(said: Any) -> int | None:
    return said if isinstance(said, int) and not isinstance(said, bool) else None


def _span(said: Any) -> tuple[float, float] | None:
    if not isinstance(said, list) or len(said) != 2:
        return None
    since, until = _number(said[0]), _number(said[1])
    return (since, until) if since is not None and until is not None else None


def _lines(said: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in said) if isinstance(said, list) else ()


def _pairs(said: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(words)) for name, words in said.items()) if isinstance(said, dict) else ()
