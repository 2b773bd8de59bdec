"""One cluster a kind, which every test of a module breaks and fixes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import SMALLEST_DISK


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("mariadb", True), id="mariadb-gtid"),
        pytest.param(("mysql97", True), id="9.7-gtid", marks=pytest.mark.slow),
        pytest.param(("mysql56", False), id="5.6-position", marks=pytest.mark.slow),
    ],
)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster that every test of this module fixes again."""
    kind, gtid = request.param
    with Cluster(kind, gtid=gtid, disk={3: SMALLEST_DISK + 200}) as shared:
        yield shared
