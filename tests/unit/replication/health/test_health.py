"""What a load balancer is told of each server."""

from __future__ import annotations

import pytest

from prefect_mha.replication.health.http import answer
from prefect_mha.replication.health.roles import STALE, judge
from prefect_mha.replication.model.state import ClusterState, ServerDown
from tests.unit.replication.address.build import config
from tests.unit.replication.build import channel, server

CONFIG = config()
PRIMARY = server(1, read_only=False)
DEAD = ServerDown("10.0.0.1:3306", "db1", "db1", "Connection refused", False)


def look(*states, down=(), before=None, now=100.0):
    return judge(CONFIG, ClusterState(tuple(states), tuple(down)), before, now)


def ask(standings, path, now=100.0):
    code, document = answer(CONFIG, standings, path, now)
    return code, document["text"]


def test_the_primary_writes_and_replicas_read():
    seen = look(PRIMARY, server(2, channel()), server(3, channel(seconds_behind=9)))
    assert ask(seen, "/primary/db1") == (200, "it is the primary")
    assert ask(seen, "/primary/server2") == (503, "it is a replica")
    assert ask(seen, "/replica/10.0.0.2?max_lag=5") == (200, "it replicates")
    assert ask(seen, "/replica/10.0.0.3:3306?max_lag=5") == (503, "it is 9.0 s behind")
    assert ask(seen, "/replica/db3")[0] == 200
    assert ask(seen, "/replica/db1") == (503, "it is the primary")
    assert ask(seen, "/primary")[0] == ask(seen, "/replica")[0] == 200


@pytest.mark.parametrize(
    ("replica", "words"),
    [
        (server(2, channel(applier_running=False, applier_errno=1062)), "its applier is stopped with error 1062"),
        (server(2, channel(receiver="No", seconds_behind=None)), "it was not seen to have all"),
        (server(2, channel(), read_only=False), "it takes writes although it replicates from 10.0.0.1:3306"),
        (server(2), "it is read-only"),
    ],
)
def test_a_replica_that_is_not_well_is_not_read_from(replica, words):
    code, text = ask(look(PRIMARY, replica), "/replica/db2")
    assert code == 503
    assert words in text


def test_lag_grows_while_nobody_can_say_what_the_source_has():
    """Seconds_Behind_Source is 0 or NULL when the receiver is cut off or the source is dead."""
    seen = look(PRIMARY, server(2, channel()))
    for changed in (channel(receiver="No", seconds_behind=None), channel(receiver="Connecting", seconds_behind=0)):
        later = look(PRIMARY, server(2, changed), before=seen, now=104.0)
        assert ask(later, "/replica/db2?max_lag=5", 104.0)[0] == 200
        assert ask(later, "/replica/db2?max_lag=3", 104.0) == (503, "it is 4.0 s behind")
    orphan = look(server(2, channel()), down=(DEAD,), before=seen, now=106.0)
    assert ask(orphan, "/replica/db2?max_lag=5", 106.0)[0] == 503
    assert ask(orphan, "/primary/db1", 106.0) == (503, "Connection refused")


def test_two_that_take_writes_are_both_refused():
    code, text = ask(look(PRIMARY, server(2, read_only=False)), "/primary/db1")
    assert code == 503
    assert "several take writes" in text


def test_a_new_primary_that_still_knows_its_old_source_is_one():
    promoted = server(2, channel(receiver="No", seconds_behind=None), read_only=False)
    assert ask(look(promoted, down=(DEAD,)), "/primary/db2")[0] == 200


def test_an_old_look_is_no_answer_and_odd_requests_have_one():
    seen = look(PRIMARY, server(2, channel()))
    assert ask(seen, "/primary/db1", 100.0 + STALE + 1)[0] == 503
    assert ask(seen, "/primary/nobody")[0] == 404
    assert ask(seen, "/")[0] == 404
    assert ask(seen, "/replica/db2?max_lag=much")[0] == 400
    assert answer(CONFIG, seen, "/servers", 100.0)[1]["10.0.0.1:3306"]["role"] == "primary"
