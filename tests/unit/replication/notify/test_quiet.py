"""What flaps is told once, and then as one."""

from __future__ import annotations

import pytest

from prefect_mha.replication.notify.debounce import Debouncer


def happened(event: str, cluster: str = "app1", at: str = "t0") -> dict:
    return {"cluster": cluster, "event": event, "at": at, "text": f"it is {event}", "facts": {"n": 1}}


def test_the_first_of_each_is_told_and_the_rest_as_one():
    quiet = Debouncer()
    events = ["suspect", "recovered", "suspect", "recovered", "suspect", "recovered"]
    assert [quiet.admit(happened(e, at=f"t{n}"), 60.0, 100.0 + n) for n, e in enumerate(events)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert quiet.next_due() == 160.0
    assert quiet.due(159.0) == []
    (one,) = quiet.due(160.0)
    assert one["event"] == "recovered"
    assert one["text"] == "it is recovered (since t2: suspect 2 times, recovered 2 times)"
    assert one["facts"] == {"n": 1, "times": {"suspect": 2, "recovered": 2}}


def test_flapping_that_goes_on_is_told_once_a_window_and_rest_ends_it():
    quiet = Debouncer()
    quiet.admit(happened("suspect"), 60.0, 0.0)
    quiet.admit(happened("suspect"), 60.0, 1.0)
    assert len(quiet.due(60.0)) == 1
    assert not quiet.admit(happened("recovered"), 60.0, 61.0), "also the other of the pair waits now"
    assert len(quiet.due(120.0)) == 1
    assert quiet.due(180.0) == []
    assert quiet.next_due() is None
    assert quiet.admit(happened("suspect"), 60.0, 181.0)


@pytest.mark.parametrize("event", ["dead", "completed", "refused", "returned"])
def test_what_is_no_flapping_is_always_told_and_makes_the_held_old_news(event):
    quiet = Debouncer()
    quiet.admit(happened("suspect"), 60.0, 0.0)
    quiet.admit(happened("suspect"), 60.0, 1.0)
    assert quiet.admit(happened(event), 60.0, 2.0)
    assert quiet.admit(happened(event), 60.0, 2.0)
    assert quiet.due(1000.0) == []


def test_clusters_do_not_hide_each_other():
    quiet = Debouncer()
    assert quiet.admit(happened("suspect", "app1"), 60.0, 0.0)
    assert quiet.admit(happened("suspect", "app2"), 60.0, 0.0)
    assert not quiet.admit(happened("suspect", "app2"), 60.0, 1.0)
    assert [d["cluster"] for d in quiet.due(61.0)] == ["app2"]
