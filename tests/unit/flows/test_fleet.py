"""Which clusters a fleet watches, as configurations come, go, and cannot be listed."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.flows.manager.fleet import Fleet
from prefect_mha.flows.manager.options import ManagerOptions
from prefect_mha.replication.coordination.failover_slots import FailoverSlots

A, B, OTHER_A = Path("/etc/mha/a.cnf"), Path("/etc/mha/b.toml"), Path("/srv/a.cnf")


class Directory:
    """What is found at each look."""

    def __init__(self) -> None:
        self.files: tuple[Path, ...] = ()
        self.broken = False

    def __call__(self) -> tuple[Path, ...]:
        if self.broken:
            raise PermissionError(13, "Permission denied", "/etc/mha")
        return self.files


@pytest.fixture
def there() -> Directory:
    return Directory()


@pytest.fixture
def fleet(there: Directory) -> Fleet:
    return Fleet(there, lambda path: load_cluster(path, None), ManagerOptions(), FailoverSlots(), lambda config: None)


def look(fleet: Fleet, times: int = 1) -> dict[str, Path]:
    for _ in range(times):
        fleet._look_at_files()
    return fleet._known


def test_what_comes_is_watched_and_what_is_gone_for_two_looks_no_longer(there: Directory, fleet: Fleet) -> None:
    there.files = (A,)
    assert look(fleet) == {"a": A}
    there.files = (A, B)
    assert look(fleet) == {"a": A, "b": B}
    there.files = (B,)
    assert look(fleet) == {"a": A, "b": B}
    assert look(fleet) == {"b": B}
    there.files = (A, B)
    assert look(fleet) == {"a": A, "b": B}


def test_one_that_was_away_for_a_moment_stays(there: Directory, fleet: Fleet) -> None:
    for files in ((A, B), (B,), (A, B), (B,)):
        there.files = files
        assert look(fleet) == {"a": A, "b": B}


@pytest.mark.parametrize("broken", [True, False])
def test_a_directory_that_is_away_or_empty_changes_nothing(
    broken: bool, there: Directory, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.files = (A, B)
    look(fleet)
    there.files, there.broken = (), broken
    told: list[str] = []
    monkeypatch.setattr(logging.getLogger("mha"), "error", lambda _, text: told.append(text))
    assert look(fleet, 5) == {"a": A, "b": B}
    assert len(told) == 1
    assert ("cannot be listed" if broken else "No configuration is left") in told[0]


def test_of_two_with_one_name_the_first_counts(there: Directory, fleet: Fleet) -> None:
    there.files = (OTHER_A, A, B)
    assert look(fleet, 2) == {"a": OTHER_A, "b": B}
