"""Sure, refuse or go on: every way in which means can end, against every policy."""

from __future__ import annotations

import itertools

import pytest

from prefect_mha.replication.fencing.policy import Tried, WayOut, judge, power_now

KILLED = Tried("ssh", True, True, "killed mysqld 7")
NO_SSH = Tried("ssh", False, False, "SSH to db1 is not reachable")
STILL = Tried("ssh", False, False, "still there after kill -9: 7", alive=True)
CLOSED = Tried("sql", True, True, "set read-only")
HALF = Tried("sql", True, False, "set read-only, SUPER excepted")
RELEASED = Tried("ip", True, False, "the address was released")
OFF = Tried("script:/p", True, True, "db1 is powered off", powered_off=True)
FAILED = Tried("script:/p", False, False, "exit code 1")
STOPPED = Tried("script:/p", True, True, "mysqld was killed")


@pytest.mark.parametrize(
    ("required", "tried", "answer"),
    [
        ((), (KILLED,), WayOut.SURE),
        ((), (NO_SSH,), WayOut.GO_ON),
        ((), (), WayOut.GO_ON),
        ((), (STILL,), WayOut.REFUSE),
        ((), (STILL, STOPPED), WayOut.REFUSE),
        ((), (STILL, OFF), WayOut.SURE),
        ((), (NO_SSH, RELEASED), WayOut.GO_ON),
        ((), (NO_SSH, HALF), WayOut.GO_ON),
        ((), (NO_SSH, CLOSED), WayOut.SURE),
        ((), (NO_SSH, FAILED), WayOut.GO_ON),
        (("ssh",), (KILLED, FAILED), WayOut.SURE),
        (("ssh",), (NO_SSH, OFF), WayOut.REFUSE),
        (("ssh",), (), WayOut.REFUSE),
        (("any",), (NO_SSH, OFF), WayOut.SURE),
        (("any",), (NO_SSH, RELEASED, HALF), WayOut.REFUSE),
        (("any",), (KILLED, FAILED), WayOut.SURE),
        (("script:/p",), (KILLED, FAILED), WayOut.REFUSE),
        (("script:/p",), (NO_SSH, STOPPED), WayOut.SURE),
        (("ip",), (KILLED, RELEASED), WayOut.SURE),
        (("ip",), (NO_SSH, RELEASED), WayOut.GO_ON),
        (("ip", "any"), (NO_SSH, RELEASED), WayOut.REFUSE),
    ],
)
def test_what_follows(required: tuple[str, ...], tried: tuple[Tried, ...], answer: WayOut) -> None:
    assert judge(required, tried).answer is answer


def test_never_sure_without_proof_and_never_on_when_a_required_means_failed() -> None:
    means = [(KILLED, NO_SSH, STILL), (CLOSED, HALF), (RELEASED,), (OFF, FAILED, STOPPED)]
    policies = [(), ("ssh",), ("any",), ("ssh", "ip"), ("script:/p",)]
    for tried, required in itertools.product(itertools.product(*means), policies):
        verdict = judge(required, tried)
        assert not verdict.sure or any(t.proof for t in tried)
        if verdict.answer is not WayOut.REFUSE:
            assert all(r == "any" or any(t.means == r and t.done for t in tried) for r in required)
            assert not any(t.alive for t in tried) or any(t.powered_off for t in tried)


def test_the_report_tells_what_each_means_did() -> None:
    verdict = judge((), (NO_SSH, RELEASED))
    assert str(verdict) == (
        "not fenced: ssh (failed): SSH to db1 is not reachable; ip (done, no proof): the address was released"
    )
    refusal = judge(("any",), (NO_SSH,)).refusal("db1")
    assert refusal.code == "not-fenced"
    assert "SSH to db1 is not reachable" in refusal.sentence


def test_power_waits_for_the_binary_log_only_where_one_can_be_saved() -> None:
    assert [power_now(first, ssh) for first in (False, True) for ssh in (False, True)] == [True, False, True, True]
