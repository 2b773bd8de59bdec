"""Who the primary is: memory, who takes writes, who is followed, in that order; those who are held have no vote."""

from dataclasses import replace

import pytest

from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.model.state import ClusterState, Replaced
from prefect_mha.replication.model.topology import find_primary, source_of
from tests.unit.replication.build import channel, cluster, configured, server

FOUR = configured({}, {}, {})


def follows(number: int, **changes: object) -> object:
    return channel(source_host=f"10.0.0.{number}", **changes)


def held(state: ClusterState, *numbers: int, instead: int) -> ClusterState:
    return replace(state, held=tuple(Replaced(f"10.0.0.{n}:3306", f"10.0.0.{instead}:3306") for n in numbers))


OPEN = {"read_only": False, "super_read_only": False}

CASES = {
    "two deaths, both back and held, one with a channel to the other": (
        held(cluster(server(1), server(2, follows(1)), server(3, **OPEN)), 1, 2, instead=3),
        "10.0.0.3:3306",
    ),
    "the held one came back open, its guard will close it": (
        held(cluster(server(1, **OPEN), server(2, **OPEN), server(3, follows(2))), 1, instead=2),
        "10.0.0.2:3306",
    ),
    "cut off at its opening, the third still follows the dead": (
        held(cluster(server(2, follows(1, receiver="No"), **OPEN), server(3, follows(1)), down=(1,)), 1, instead=2),
        "10.0.0.2:3306",
    ),
    "held before anything was opened": (
        held(cluster(server(2, follows(1)), server(3, follows(1)), down=(1,)), 1, instead=2),
        "10.0.0.1:3306",
    ),
    "memory is old: a switch has moved the role since": (
        held(cluster(server(2, follows(3)), server(3, **OPEN), server(4, follows(3)), down=(1,)), 1, instead=2),
        "10.0.0.3:3306",
    ),
    "memory names one, and a stranger takes writes beside it": (
        held(cluster(server(2, **OPEN), server(3, **OPEN), server(4, follows(2)), down=(1,)), 1, instead=2),
        "two-primaries",
    ),
    "only a held one is followed": (
        held(cluster(server(1, **OPEN), server(3, follows(1)), down=(2,)), 1, instead=2),
        "10.0.0.1:3306",
    ),
    "a dead middle tier": (
        cluster(server(1, **OPEN), server(3, follows(2)), server(4, follows(1)), down=(2,)),
        "10.0.0.1:3306",
    ),
    "a dead middle tier that may live": (
        replace(
            cluster(server(1, **OPEN), server(3, follows(2)), server(4, follows(1)), down=(2,)),
            down=(replace(cluster(down=(2,)).down[0], alive=True),),
        ),
        "two-primaries",
    ),
    "two trees, neither of which takes writes": (
        cluster(server(1), server(3, follows(2)), server(4, follows(1)), down=(2,)),
        "two-primaries",
    ),
    "a source that is the server itself": (
        cluster(server(1, follows(1), **OPEN), server(2, follows(1)), server(3, follows(1))),
        "10.0.0.1:3306",
    ),
}


@pytest.mark.parametrize(("state", "expected"), CASES.values(), ids=CASES.keys())
def test_who_the_primary_is_when_the_servers_disagree(state: ClusterState, expected: str) -> None:
    found = find_primary(FOUR, state)
    assert (found.code if isinstance(found, Refusal) else found.address) == expected


def test_nobody_follows_itself() -> None:
    assert source_of(FOUR, server(1, follows(1))) is None
