"""The table of verdicts: what each evidence means, when it is acted on, and that nothing else is."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from prefect_mha.replication.detection.judging import judge, row_of
from prefect_mha.replication.detection.observation import Finding as F
from prefect_mha.replication.detection.observation import Observation, Round
from prefect_mha.replication.detection.observation import Observer as S
from prefect_mha.replication.detection.rules import TABLE, Confidence
from prefect_mha.replication.detection.suspicion import Suspicion, Thresholds
from prefect_mha.replication.probes.ping import DISK_WORDS

Facts = dict[S, tuple[F, ...]]

HEALTHY: Facts = {
    S.PING: (F.ANSWERED,),
    S.SSH: (F.ANSWERED, F.ANSWERED),
    S.PROCESS: (F.RUNNING,),
    S.PORT: (F.LISTENING,),
    S.PID_FILE: (F.THERE,),
    S.DISK: (F.GOOD,),
    S.OBSERVER: (F.ANSWERED, F.ANSWERED),
    S.LINK: (F.ANSWERED, F.ANSWERED),
    S.REPLICA: (F.RECEIVES, F.RECEIVES),
}
CRASHED: Facts = {
    **HEALTHY,
    S.PING: (F.REFUSED,),
    S.PROCESS: (F.GONE,),
    S.PORT: (F.CLOSED,),
    S.OBSERVER: (F.REFUSED, F.REFUSED),
    S.REPLICA: (F.DISCONNECTED, F.DISCONNECTED),
}
DARK: Facts = {
    S.PING: (F.UNANSWERED,),
    S.SSH: (F.UNANSWERED, F.UNANSWERED),
    S.OBSERVER: (F.UNANSWERED, F.UNANSWERED),
    S.LINK: (F.ANSWERED, F.ANSWERED),
    S.REPLICA: (F.RECEIVES, F.RECEIVES),
}
BLIND: Facts = {S.PING: (F.UNANSWERED,), S.OBSERVER: (F.NO_VIEW,), S.LINK: (F.ANSWERED,)}
FROZEN: Facts = {**HEALTHY, S.PING: (F.SILENT,), S.PROCESS: (F.STOPPED,), S.OBSERVER: (F.SILENT, F.SILENT)}
SQUATTED: Facts = {
    **HEALTHY,
    S.PING: (F.LIVES,),
    S.PROCESS: (F.GONE,),
    S.PORT: (F.STRANGER,),
    S.REPLICA: (F.DISCONNECTED, F.DISCONNECTED),
}
FULL: Facts = {**HEALTHY, S.DISK: (F.FULL,), S.WRITE: (F.UNANSWERED,)}


def seen(facts: Facts, began: float = 0.0, took: float = 0.1) -> Round:
    made = [Observation(source, f"{source}{n}", f) for source, found in facts.items() for n, f in enumerate(found)]
    return Round(began, began + took, tuple(made))


def case(facts: Facts, *at: float, known: bool = True, held: bool = True, **terms: object) -> Suspicion:
    """The same facts in rounds that begin so many seconds after the suspicion."""
    return Suspicion(tuple(seen(facts, began) for began in at), 0.0, known, held, Thresholds(**terms))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "row"),
    [
        (HEALTHY, "answers"),
        (CRASHED, "crashed process"),
        (CRASHED | {S.PID_FILE: (F.ABSENT,)}, "clean shutdown"),
        (CRASHED | {S.REPLICA: (F.RECEIVES, F.DISCONNECTED)}, "a replica is still connected"),
        (CRASHED | {S.REPLICA: (F.MOVES, F.DISCONNECTED)}, "a replica receives"),
        (HEALTHY | {S.PING: (F.SLOW,)}, "answers, but late"),
        (DARK | {S.REPLICA: (F.MOVES, F.RECEIVES)}, "a replica receives"),
        (DARK | {S.OBSERVER: (F.SILENT, F.UNANSWERED)}, "does not answer"),
        (DARK | {S.OBSERVER: (F.NO_VIEW, F.NO_VOICE)}, "does not answer"),
        (DARK | {S.OBSERVER: (F.NO_VOICE,), S.SECONDARY: (F.CONFIRMED,)}, "host gone"),
        (DARK | {S.SSH: (F.SLOW,)}, "does not answer"),
        (FROZEN | {S.REPLICA: (F.MOVES, F.RECEIVES)}, "a replica receives"),
        (CRASHED | {S.OBSERVER: (F.ANSWERED, F.SILENT)}, "only the manager cannot reach it"),
        (CRASHED | {S.LINK: (F.UNANSWERED, F.UNANSWERED)}, "manager cut off"),
        (CRASHED | {S.PROCESS: (F.STARTING,)}, "starting or shutting down"),
        (CRASHED | {S.PORT: (F.LISTENING,)}, "refused port"),
        (CRASHED | {S.MANAGER: (F.LATE,)}, "manager starved"),
        ({S.PING: (F.REFUSED,), S.SSH: (F.UNANSWERED,), S.LINK: (F.ANSWERED,)}, "refused port"),
        (DARK, "host gone"),
        (DARK | {S.LINK: (F.ANSWERED, F.UNANSWERED, F.UNANSWERED)}, "whole zone gone"),
        (DARK | {S.SSH: (F.UNANSWERED, F.REFUSED)}, "does not answer"),
        (DARK | {S.OBSERVER: (F.NO_VIEW, F.NO_VIEW)}, "does not answer"),
        (DARK | {S.OBSERVER: (F.ANSWERED, F.SILENT)}, "only the manager cannot reach it"),
        (DARK | {S.LINK: (F.UNANSWERED, F.UNANSWERED)}, "manager cut off"),
        (FROZEN, "frozen process"),
        (HEALTHY | {S.PING: (F.SILENT,)}, "only the manager cannot reach it"),
        (HEALTHY | {S.PING: (F.LIVES,)}, "lives, takes no session"),
        (SQUATTED, "something else answers"),
        (SQUATTED | {S.PING: (F.ANSWERED,)}, "something else answers"),
        (SQUATTED | {S.REPLICA: (F.MOVES, F.RECEIVES)}, "something else answers"),
        (SQUATTED | {S.PROCESS: (F.STARTING,)}, "lives, takes no session"),
        (SQUATTED | {S.PORT: (F.LISTENING,)}, "lives, takes no session"),
        (SQUATTED | {S.PORT: (), S.PROCESS: (), S.SSH: (F.UNANSWERED,)}, "lives, takes no session"),
        (SQUATTED | {S.PROCESS: (F.RUNNING,)}, "lives, takes no session"),
        (FULL, "full or read-only disk"),
        (FULL | {S.DISK: (F.GOOD, F.READ_ONLY), S.WRITE: (F.REFUSED,)}, "full or read-only disk"),
        (FULL | {S.WRITE: (F.ANSWERED,)}, "disk trouble, writes go on"),
        (FULL | {S.WRITE: (F.NO_VIEW,)}, "disk trouble, writes not seen"),
        (FULL | {S.PING: (F.LIVES,)}, "full or read-only disk"),
        (FULL | {S.DISK: (F.STALLED,)}, "hung storage"),
        (HEALTHY | {S.WRITE: (F.UNANSWERED,)}, "answers"),
        (HEALTHY | {S.REPLICA: (F.DISCONNECTED, F.NOT_RECEIVING)}, "answers"),
    ],
)
def test_what_each_evidence_means(facts: Facts, row: str) -> None:
    assert row_of(case(facts, 0.0)).name == row


def test_who_answers_on_its_port_counts_only_where_its_process_was_seen() -> None:
    assert judge(case(SQUATTED, 0.0, 0.3, 0.6)).dead
    assert judge(case(SQUATTED | {S.SECONDARY: (F.DENIED,)}, 0.0, 0.3, 0.6, secondary=True)).dead
    assert not judge(case(SQUATTED, 0.0, 10.0, 60.0, known=False)).dead
    assert not judge(case(SQUATTED, 0.0, 0.3, held=False)).dead, "it may be started again"
    starts = seen(SQUATTED | {S.PROCESS: (F.STARTING,)}, 0.3)
    looped = Suspicion((seen(SQUATTED), starts, seen(SQUATTED, 0.6)), 0.0, True, True, Thresholds())
    assert judge(looped).dead


@pytest.mark.parametrize(
    ("facts", "at", "dead"),
    [
        (CRASHED, (0.0,), False),
        (CRASHED, (0.0, 0.15), False),
        (CRASHED, (0.0, 0.21), True),
        (DARK, (0.4, 1.5), False),
        (DARK, (0.4, 3.29), False),
        (DARK, (0.4, 3.31), True),
        (FROZEN, (0.4, 2.0), False),
        (FROZEN, (0.4, 2.31), True),
        (FULL, (0.0, 0.21), True),
        (FULL | {S.DISK: (F.STALLED,)}, (0.1, 1.2), False),
        (FULL | {S.DISK: (F.STALLED,)}, (0.1, 1.31), True),
        (HEALTHY, (0.0, 10.0), False),
    ],
)
def test_conclusive_evidence_is_confirmed_afresh_after_its_time(
    facts: Facts, at: tuple[float, ...], dead: bool
) -> None:
    assert judge(case(facts, *at)).dead is dead


def test_a_confirmation_must_be_unbroken() -> None:
    rounds = (seen(CRASHED, 0.0), seen(CRASHED | {S.PROCESS: (F.STARTING,)}, 0.3), seen(CRASHED, 0.5))
    assert not judge(Suspicion(rounds, 0.0, True, True)).dead
    assert judge(Suspicion((*rounds, seen(CRASHED, 0.8)), 0.0, True, True)).dead


def test_whatever_came_of_a_host_is_waited_for_again() -> None:
    """A slow link brings something again and again: the silence begins anew, and lasts longer."""
    moves = DARK | {S.REPLICA: (F.MOVES, F.RECEIVES)}
    rounds = [seen(DARK, 0.4), seen(moves, 3.0), seen(DARK, 3.4), seen(DARK, 6.6)]
    assert not judge(Suspicion(tuple(rounds), 0.0, True, True)).dead
    assert not judge(Suspicion((*rounds, seen(DARK, 8.3)), 0.0, True, True)).dead
    assert judge(Suspicion((*rounds, seen(DARK, 8.5)), 0.0, True, True)).dead
    accepted = DARK | {S.OBSERVER: (F.SILENT, F.UNANSWERED)}
    assert not judge(Suspicion((seen(accepted, 3.0), seen(DARK, 3.4), seen(DARK, 6.6)), 2.0, True, True)).dead


def test_over_a_link_that_loses_what_does_not_come_says_little() -> None:
    """As it was seen with 60 % of the packets lost: connections were taken, and greetings came late or not at all."""
    taken = BLIND | {S.PING: (F.SILENT,), S.OBSERVER: (F.UNANSWERED, F.SILENT), S.REPLICA: (F.RECEIVES, F.RECEIVES)}
    late, lost = taken | {S.SSH: (F.SLOW,)}, taken | {S.PING: (F.UNANSWERED,)}
    steady = taken | {S.SSH: (F.ANSWERED,), S.OBSERVER: (F.SILENT, F.SILENT)}
    for facts in (late, lost):
        judged = judge(Suspicion((seen(taken, 1.0), seen(facts, 2.0), seen(taken, 10.0)), 0.0, True, True))
        assert not judged.dead
        assert "slow or loses packets" in judged.why
    assert judge(Suspicion((seen(steady, 1.0), seen(steady, 10.0)), 0.0, True, True)).dead  # frozen, and seen by nobody
    refused = taken | {S.PING: (F.REFUSED,), S.REPLICA: (F.DISCONNECTED,)}
    assert judge(Suspicion((seen(late, 1.0), seen(refused, 10.0)), 0.0, True, True)).dead


def test_a_silence_has_to_be_longer_where_answers_took_long() -> None:
    assert not judge(case(DARK, 0.4, 6.0, silence=6.4)).dead
    assert judge(case(DARK, 0.4, 6.0, 6.5, silence=6.4)).dead


def test_what_lives_on_the_managers_host_does_not_show_that_it_is_not_cut_off() -> None:
    """With a second voice it is cut off or not as that one says; with the suspect's own host speaking it is not."""
    on_own_host = {"own": ("link1",), "silence": 3.3}
    cut_off = DARK | {S.LINK: (F.UNANSWERED, F.ANSWERED), S.OBSERVER: (F.NO_VIEW, F.NO_VOICE)}
    judged = judge(case(cut_off, 0.4, 10.0, 60.0, **on_own_host))
    assert (judged.row.name, judged.dead) == ("manager cut off", False)
    assert judge(case(DARK, 0.4, 4.0, **on_own_host)).dead
    two_servers = CRASHED | {S.LINK: (F.ANSWERED,), S.OBSERVER: (F.NO_VOICE,), S.REPLICA: (F.DISCONNECTED,)}
    assert judge(case(two_servers, 0.0, 0.3, own=("link0",))).dead
    dark = DARK | {S.LINK: (F.ANSWERED,), S.OBSERVER: (F.NO_VOICE,), S.REPLICA: (F.DISCONNECTED,)}
    assert not judge(case(dark, 0.4, 10.0, 60.0, own=("link0",))).dead
    assert judge(case(dark | {S.SECONDARY: (F.CONFIRMED,)}, 0.4, 10.0, own=("link0",), secondary=True)).dead
    # A witness is a host that was reached, and that reached somebody else.
    witness = dark | {S.OBSERVER: (F.NO_VOICE, F.UNANSWERED)}
    assert judge(case(witness, 0.4, 10.0, own=("link0",), silence=3.3)).dead
    assert not judge(case(dark | {S.OBSERVER: (F.NO_VOICE, F.ANSWERED)}, 0.4, 10.0, 60.0, own=("link0",))).dead
    assert not judge(case(dark | {S.OBSERVER: (F.NO_VOICE, F.NO_VIEW)}, 0.4, 10.0, 60.0, own=("link0",))).dead


def test_a_process_that_was_never_seen_alive_there_is_not_missed_at_once() -> None:
    assert row_of(case(CRASHED, 0.0, 1.0, known=False)).name == "refused port"
    assert not judge(case(CRASHED, 0.0, 1.0, known=False)).dead


def test_a_supervisor_that_nobody_holds_gets_its_grace() -> None:
    assert not judge(case(CRASHED, 0.0, 2.9, held=False)).dead
    assert judge(case(CRASHED, 0.0, 2.9, 3.1, held=False)).dead
    assert judge(case(CRASHED, 0.0, 0.3, held=False, restart_grace=0.0)).dead
    assert not judge(case(CRASHED, 0.0, 4.9, held=True, restart_grace=5.0)).dead


def test_patience_begins_anew_with_every_sign_of_life() -> None:
    """Only the manager is cut off, and in one round nobody else could look: that is no death."""
    cut_off = DARK | {S.OBSERVER: (F.ANSWERED, F.SILENT)}
    blind = DARK | {S.OBSERVER: (F.NO_VIEW, F.NO_VIEW), S.REPLICA: (F.OVERDUE, F.RECEIVES)}
    blind |= {S.REPLICA: (F.OVERDUE, F.DISCONNECTED)}
    rounds = [seen(cut_off, at) for at in (0.4, 1.0, 2.0, 3.0)] + [seen(blind, 4.2)]
    assert not judge(Suspicion(tuple(rounds), 0.0, True, True)).dead
    rounds += [seen(blind, at) for at in (5.0, 6.0, 7.1)]
    assert judge(Suspicion(tuple(rounds), 0.0, True, True)).dead


def test_a_long_shutdown_is_waited_for_but_not_a_restart_after_a_crash() -> None:
    ending = CRASHED | {S.PROCESS: (F.STARTING,)}
    assert not judge(case(ending, 0.0, 60.0, on_shutdown="wait")).dead
    assert judge(case(ending, 0.0, 3.0)).dead
    after = Suspicion((seen(CRASHED, 0.0), seen(ending, 3.0)), 0.0, True, True, Thresholds(on_shutdown="wait"))
    assert judge(after).dead


def test_a_clean_shutdown_follows_the_configuration() -> None:
    down = CRASHED | {S.PID_FILE: (F.ABSENT,)}
    assert judge(case(down, 0.0, 0.3)).dead
    waits = judge(case(down, 0.0, 0.3, 60.0, on_shutdown="wait"))
    assert not waits.dead
    assert waits.refused
    assert judge(case(CRASHED, 0.0, 0.3, on_shutdown="wait")).dead


@pytest.mark.parametrize(
    ("finding", "detail", "dead"), [(F.CONFIRMED, "0", True), (F.DENIED, "3", False), (None, "", False)]
)
def test_a_configured_secondary_check_has_to_agree(finding: F | None, detail: str, dead: bool) -> None:
    both = case(CRASHED, 0.0, 0.3, secondary=True)
    if finding is not None:
        said = Observation(S.SECONDARY, "script", finding, detail)
        both = replace(both, rounds=tuple(replace(r, seen=(*r.seen, said)) for r in both.rounds))
    judged = judge(both)
    assert judged.dead is dead
    assert dead or "secondary check" in judged.why


@pytest.mark.parametrize(
    ("facts", "refused_at_once", "dead"),
    [
        ({S.PING: (F.REFUSED,), S.OBSERVER: (F.SILENT,), S.LINK: (F.ANSWERED,)}, True, True),
        ({S.PING: (F.UNANSWERED,), S.OBSERVER: (F.NO_VIEW,), S.LINK: (F.ANSWERED,)}, False, False),
        (BLIND | {S.REPLICA: (F.DISCONNECTED,)}, False, True),
        (BLIND | {S.REPLICA: (F.OVERDUE,)}, False, True),
        (BLIND | {S.REPLICA: (F.RECEIVES,)}, False, False),
        (BLIND | {S.OBSERVER: (F.SILENT,), S.REPLICA: (F.RECEIVES,)}, False, True),
        (BLIND | {S.PING: (F.REFUSED,), S.OBSERVER: (F.SILENT,), S.REPLICA: (F.RECEIVES,)}, True, False),
        (CRASHED | {S.PROCESS: (F.STARTING,)}, True, True),
        (CRASHED | {S.MANAGER: (F.LATE,)}, True, True),
        (CRASHED | {S.MANAGER: (F.LATE,), S.OBSERVER: (F.NO_VIEW,)}, True, False),
    ],
)
def test_the_rest_has_the_patience_of_four_misses(facts: Facts, refused_at_once: bool, dead: bool) -> None:
    fourth = 3.0 if refused_at_once else 4.0
    assert not judge(case(facts, 0.0, fourth - 0.2)).dead
    assert judge(case(facts, 0.0, fourth)).dead is dead


CHOICES: dict[S, tuple[F, ...]] = {
    S.PING: (F.ANSWERED, F.LIVES, F.REFUSED, F.SILENT, F.UNANSWERED),
    S.SSH: (F.ANSWERED, F.UNANSWERED, F.NO_VIEW, F.REFUSED),
    S.PROCESS: (F.RUNNING, F.STARTING, F.STOPPED, F.GONE),
    S.PORT: (F.LISTENING, F.CLOSED),
    S.DISK: (F.GOOD, F.FULL, F.STALLED),
    S.WRITE: (F.ANSWERED, F.UNANSWERED, F.REFUSED, F.NO_VIEW),
    S.OBSERVER: (F.ANSWERED, F.SILENT, F.REFUSED, F.UNANSWERED, F.NO_VIEW, F.NO_VOICE),
    S.LINK: (F.ANSWERED, F.UNANSWERED),
    S.REPLICA: (F.MOVES, F.RECEIVES, F.OVERDUE, F.DISCONNECTED, F.NOT_RECEIVING),
    S.MANAGER: (F.LATE,),
}
SEVERAL = (S.SSH, S.DISK, S.OBSERVER, S.LINK, S.REPLICA)
STORAGE = ("hung storage", "full or read-only disk")


@settings(max_examples=200)
@given(
    st.fixed_dictionaries(
        {S.PING: st.tuples(st.sampled_from(CHOICES[S.PING]))},
        optional={
            s: st.tuples(*[st.sampled_from(c)] * (2 if s in SEVERAL else 1))
            for s, c in CHOICES.items()
            if s is not S.PING
        },
    ),
    st.booleans(),
)
def test_no_evidence_whatever_makes_the_managers_word_alone_enough(facts: Facts, known: bool) -> None:
    """Whatever is seen for ten seconds: a death needs a link of the manager, and nobody whom the primary answers."""
    judged = judge(case(facts, *(0.5 * n for n in range(20)), known=known))
    if judged.dead:
        assert F.ANSWERED in facts.get(S.LINK, (F.ANSWERED,))
        if judged.row.name not in STORAGE:
            assert F.ANSWERED not in facts.get(S.OBSERVER, ())
            assert F.MOVES not in facts.get(S.REPLICA, ())
            assert facts[S.PING][0] not in (F.ANSWERED, F.LIVES)
        else:
            assert {F.UNANSWERED, F.REFUSED} & set(facts[S.WRITE])
        if judged.row.sure is Confidence.CONCLUSIVE and judged.row.name in ("crashed process", "clean shutdown"):
            assert known


def test_every_row_can_be_reached_and_has_a_name_of_its_own() -> None:
    names = [row.name for row in TABLE]
    assert len(set(names)) == len(names)
    assert all(row.means and (row.tell or row.sure is not Confidence.NEVER or row.name == "answers") for row in TABLE)


def test_what_the_primary_answers_to_a_ping_is_never_a_death_without_its_disk() -> None:
    for process, observer, replica in product(CHOICES[S.PROCESS], CHOICES[S.OBSERVER], CHOICES[S.REPLICA]):
        facts = HEALTHY | {S.PROCESS: (process,), S.OBSERVER: (observer,), S.REPLICA: (replica,)}
        assert not judge(case(facts, 0.0, 10.0, 60.0)).dead


def test_the_runbook_has_the_table_as_it_is() -> None:
    page = (Path(__file__).parents[4] / "docs" / "runbook.md").read_text(encoding="utf-8")
    rows = "\n".join(f"| {row.name} | {row.sure.value} | {row.means} |" for row in TABLE)
    assert rows in page


@pytest.mark.parametrize(
    ("words", "of_disk"),
    [
        ("Failed to create schema directory 'infra' (errno: 28 - No space left on device)", True),
        ("Error writing file './mysql-bin.000001' (Errcode: 28 - No space left on device)", True),
        ("Can't create database 'infra' (errno: 30 \"Read-only file system\")", True),
        ("Create table/tablespace 'chk_masterha' failed, as disk is full", True),
        ('Can\'t create table `infra`.`chk_masterha` (errno: 135 "No more room in record file")', True),
        ("The MySQL server is running with the --super-read-only option", False),
        ("INSERT command denied to user 'mha'@'10.0.0.1' for table 'chk_masterha' (errno: 13)", False),
    ],
)
def test_which_errors_of_a_written_row_are_the_disks(words: str, of_disk: bool) -> None:
    assert bool(DISK_WORDS.search(words)) is of_disk


@given(
    st.fixed_dictionaries({source: st.lists(st.sampled_from(list(F)), max_size=3).map(tuple) for source in S}),
    st.lists(st.floats(0.0, 30.0), min_size=1, max_size=6).map(sorted),
)
def test_who_says_an_error_lives_whatever_else_is_seen_but_a_disk_that_takes_nothing(
    facts: Facts, at: list[float]
) -> None:
    """Nor is it the primary that says so where a stranger listens in place of its process."""
    said = {**facts, S.PING: (F.LIVES,), S.DISK: (F.GOOD,)}
    assume(F.STRANGER not in said[S.PORT])
    assert not judge(case(said, *at)).dead


@pytest.mark.parametrize(
    ("facts", "dead"),
    [
        (DARK | {S.OBSERVER: (F.NO_VIEW, F.NO_VIEW), S.PROCESS: (F.RUNNING,)}, False),
        (DARK | {S.OBSERVER: (F.NO_VIEW, F.NO_VIEW), S.PORT: (F.LISTENING,)}, False),
        (CRASHED | {S.PORT: (F.LISTENING,), S.OBSERVER: (F.SILENT, F.SILENT)}, False),
        (CRASHED | {S.PROCESS: (F.STARTING,), S.OBSERVER: (F.NO_VIEW,)}, True),
    ],
)
def test_patience_never_runs_out_against_a_process_or_a_listener(facts: Facts, dead: bool) -> None:
    judged = judge(case({k: v for k, v in facts.items() if k is not S.REPLICA}, *(float(n) for n in range(8))))
    assert (judged.dead, judged.refused) == (dead, not dead), judged
