"""Who is asked for what a new primary has purged: the nearest first, and what each said is told when nobody has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_mha.flows.runbooks.leveling.new_primary import Level
from prefect_mha.flows.runbooks.leveling.purged import give_purged
from prefect_mha.replication.actions.drained import Drained
from prefect_mha.replication.errors import CannotLevel, HostUnreachable
from prefect_mha.replication.rescue.salvage import BinlogCopy
from prefect_mha.replication.rescue.saved import AppliedBinlog, SavedBinlog
from tests.unit.replication.build import at
from tests.unit.replication.reporting.test_ledger import planned

COPY = BinlogCopy(Path("/nowhere"), ("mysql-bin.000001",), at(4), at(900), 896)


class Failover:
    """Answers each step by its name: what is still lacking, one after the other, and who has a copy."""

    def __init__(self, lacking: list[str | Exception], copies: dict[str, SavedBinlog | Exception]) -> None:
        self.lacking, self.copies = iter(lacking), copies
        self.job: Any = SimpleNamespace(config=SimpleNamespace(binlog_servers=["one"]))
        self.asked: list[str] = []
        self.given: list[SavedBinlog] = []

    def run(self, task: Any, *args: Any, about: str = "") -> Any:
        if task.name == "See what the new primary has purged":
            answer: Any = next(self.lacking)
        else:
            self.asked.append(task.name)
            answer = self.copies.get(task.name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def saved(self, plan: Any, start: Any, key: str) -> SavedBinlog:
        assert start is None, "its GTIDs tell where it begins"
        self.asked.append("the dead one")
        return self.copies.get("the dead one", SavedBinlog(None, "not reachable"))  # type: ignore[return-value]

    def apply(self, plan: Any, replica: Any, proof: Drained, rescue: SavedBinlog) -> AppliedBinlog:
        self.given.append(rescue)
        return AppliedBinlog(replica.key, replica.name, None, None, proof=replace(proof, executed=at(900)))

    def whose(self) -> Any:
        return None


def give(failover: Failover) -> Drained:
    plan = planned()
    proof = Drained(plan.others[0].key, "db3", "", at(100), at(100))
    level = Level(proof, SavedBinlog(None), AppliedBinlog("", "", None, None), end=at(700))
    return give_purged(failover, plan, level, plan.others[0], proof)


def test_one_that_lacks_nothing_is_given_nothing() -> None:
    failover = Failover([""], {})
    assert give(failover).executed == at(100)
    assert failover.asked == []


def test_what_cannot_be_known_keeps_nobody_from_following() -> None:
    failover = Failover([HostUnreachable("db2", "ask", "no answer")], {})
    assert give(failover).executed == at(100)


def test_the_first_that_has_all_of_it_gives_it_and_no_more_than_the_new_primary_has() -> None:
    failover = Failover(
        ["a:1-5", "a:5", ""], {"Look for a copy on the manager": SavedBinlog(COPY), "the dead one": SavedBinlog(COPY)}
    )
    assert give(failover).executed == at(900)
    assert failover.asked == ["Look for a copy on the manager", "the dead one"]
    assert [rescue.copy.end for rescue in failover.given if rescue.copy] == [at(700), at(700)]


def test_what_each_said_is_told_with_the_rebuild_when_nobody_has_it() -> None:
    broken = HostUnreachable("archive", "look", "no answer")
    failover = Failover(["a:1-5"], {"Look for a copy on the binlog servers": broken})
    with pytest.raises(CannotLevel, match=r"lacks a:1-5, which .* has purged") as told:
        give(failover)
    assert "not reachable" in str(told.value)
    assert "no answer" in str(told.value)
    assert "rebuild it from" in str(told.value)
