"""The right to act: never two who have it, whatever each of them sees; and no single manager is ever refused it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from prefect_mha.replication.coordination.quorum import (
    FORGOTTEN,
    LockView,
    Vote,
    gains,
    holder_of,
    in_words,
    keeps,
    lease_of,
    may_try,
    others,
    still_alone,
    who,
)

LETTERS = {"o": Vote.OURS, "a": Vote.ANOTHERS, "f": Vote.FREE, "n": Vote.NOBODYS, "?": Vote.UNKNOWN}
NOW = 100.0


def ballots(votes: str, *, until: float = NOW + 1, standby: str = "") -> list[LockView]:
    """One letter a server; behind a ``+`` that of a witness."""
    servers, plus, witness = votes.partition("+")
    found = [
        LockView(f"db{n}", LETTERS[v], "10.0.0.8" if v == "a" else "", standby, until) for n, v in enumerate(servers, 1)
    ]
    return [*found, LockView("log1", LETTERS[witness], until=until, witness=True)] if plus else found


def may(rule: object, votes: str, *, alone: bool = False) -> bool:
    return bool(rule(ballots(votes), NOW, alone=alone))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("votes", "gained", "kept"),
    [
        ("ooo", True, True),
        ("oo?", True, True),
        ("o??", False, False),
        ("oof", True, True),
        ("ooa", False, True),
        ("oaa", False, False),
        ("o?a", False, False),
        ("oa", False, True),
        ("o?", False, True),  # the other one's host is gone: its holder goes on
        ("on", True, True),  # the other one's mysqld is gone, and holds no lock
        ("onn", True, True),
        ("on?", False, True),
        ("??", False, False),
        ("nn", False, False),
        ("???", False, False),
        ("oo??", False, True),
        ("o???", False, False),
        ("ooo??", True, True),
        ("oo???", False, False),
        ("?o+o", True, True),  # one server is dark, and whoever stood by takes over with the witness
        ("?o+?", False, False),
        ("no+?", False, True),
        ("oo+a", True, True),  # the lease of one that was killed outlasts it
        ("?o+a", False, False),
        ("ao+o", False, True),
        ("o?+?", False, False),
    ],
)
def test_more_than_half_gain_half_keep(votes: str, gained: bool, kept: bool) -> None:
    assert may(gains, votes) is gained
    assert may(keeps, votes) is kept


@pytest.mark.parametrize("servers", [1, 2, 3, 4, 5])
def test_there_is_one_holder_at_most(servers: int) -> None:
    """Each lock has one holder; who sees less of the others than there is, is silent about them, never wrong."""
    _one_at_most(servers, "")


@pytest.mark.parametrize("servers", [2, 4])
def test_there_is_one_holder_at_most_where_a_witness_votes(servers: int) -> None:
    _one_at_most(servers + 1, "+")


def _one_at_most(voters: int, plus: str) -> None:
    def may_(rule: object, votes: str) -> bool:
        return may(rule, votes[:-1] + plus + votes[-1])

    for truth in product("12fn", repeat=voters):
        if plus and truth[-1] == "n":
            continue
        for blind in product((False, True), repeat=voters):
            one = "".join({"1": "o", "2": "a"}.get(t, t) for t in truth)
            two = "".join("?" if b else {"2": "o", "1": "a"}.get(t, t) for t, b in zip(truth, blind, strict=True))
            partly = "".join("?" if b and t != "1" else v for v, b, t in zip(one, blind, truth, strict=True))
            for mine in (one, partly):
                assert not (may_(gains, two) and may_(keeps, mine)), (two, mine)


@pytest.mark.parametrize("votes", ["o", "o?", "o??", "???", "nnn", "on?", "fff", "f??"])
def test_who_is_alone_is_refused_nothing(votes: str) -> None:
    assert may(may_try, votes, alone=True)
    assert may(gains, votes, alone=True)
    assert may(keeps, votes, alone=True)


@pytest.mark.parametrize(
    ("votes", "tried"),
    [("fff", True), ("ff?", True), ("f??", False), ("f?", False), ("fn", True), ("ffa", False), ("aaa", False)],
)
def test_who_stands_by_tries_when_it_can_be_of_use(votes: str, tried: bool) -> None:
    """A lock that the holder lost for a moment is not snatched; neither is a MHA's manager outvoted."""
    assert may(may_try, votes) is tried


def test_a_lock_counts_until_its_lease_is_over() -> None:
    seen = ballots("ooo", until=NOW)
    assert keeps(seen, NOW - 0.01, alone=False)
    assert not keeps(seen, NOW, alone=False)
    assert [lease_of(interval) for interval in (0.5, 1, 3)] == [4.0, 4.0, 12.0]


def test_alone_until_another_shows_and_a_majority_has_forgotten_it() -> None:
    def alone(votes: str, *, before: bool, seen: float | None, standby: str = "", managers: int = 1) -> bool:
        return still_alone(ballots(votes, standby=standby), NOW, alone=before, last_seen=seen, managers=managers)

    assert alone("???", before=True, seen=None)
    assert not alone("oo?", before=True, seen=None, standby="10.0.0.8")
    assert not alone("ooa", before=True, seen=None)
    assert not alone("ooo", before=True, seen=None, managers=2)
    assert not alone("ooo", before=False, seen=NOW - FORGOTTEN + 1)
    assert alone("oo?", before=False, seen=NOW - FORGOTTEN - 1)
    assert not alone("o??", before=False, seen=NOW - FORGOTTEN - 1), "a minority says nothing of the others"
    assert not alone("onn", before=False, seen=NOW - FORGOTTEN - 1)
    assert not alone("o?", before=False, seen=NOW - FORGOTTEN - 1)


def test_who_it_is() -> None:
    seen = [*ballots("oaa"), LockView("db4", Vote.ANOTHERS, "10.0.0.9", until=NOW + 1)]
    assert holder_of(seen, NOW) == "10.0.0.8"
    assert holder_of(seen, NOW + 2) == ""
    assert others(seen, NOW)
    assert not others(seen, NOW + 2)
    assert who(ballots("of", standby="10.0.0.7, pid 12"), NOW) == "10.0.0.7, pid 12 stands by"
    assert in_words(ballots("oan"), NOW) == "db1: ours, db2: another's, db3: nobody's"


@pytest.mark.parametrize(
    ("votes", "kept"),
    [("?o", False), ("no", True), ("oo", True), ("??o", False), ("?oo", True), ("??oo", True), ("???o", False)],
)
def test_a_server_on_the_managers_own_host_breaks_no_tie(votes: str, kept: bool) -> None:
    """The last one lives there; with it alone the manager may be cut off."""
    *beyond, last = ballots(votes)
    assert keeps([*beyond, replace(last, own=True)], NOW, alone=False) is kept
