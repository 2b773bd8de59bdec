"""What all scenarios share: what an assertion shows when it fails, and which variants run by default."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.copying import Copier

pytest.register_assert_rewrite(
    *(
        f"tests.scenarios.{name}"
        for name in (
            "checks.telling",
            "contents",
            "deployments",
            "failing_over",
            "moving",
            "obstacles",
            "reading",
            "rescuing",
            "switching",
            "watching",
        )
    ),
    "tests.lab.copying",
)

#: What runs elsewhere already.
_ELSEWHERE = ("slow", "matrix", "site")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of the variants of a scenario one runs by default, each scenario another; `make test-all` runs the others.

    Where every variant asks something else, or costs next to nothing, the scenario is marked ``every_variant``.
    """
    variants = defaultdict(list)
    for item in items:
        if not any(item.get_closest_marker(name) for name in (*_ELSEWHERE, "every_variant")):
            variants[item.nodeid.partition("[")[0]].append(item)
    for scenario, found in variants.items():
        found.sort(key=lambda item: item.nodeid)
        chosen = zlib.crc32(scenario.encode()) % len(found)
        for item in found[:chosen] + found[chosen + 1 :]:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def copiers() -> Iterator[list[Copier]]:
    """What a test started is ended with it."""
    started: list[Copier] = []
    yield started
    for copier in started:
        copier.stop()
