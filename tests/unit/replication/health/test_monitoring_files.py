"""The dashboard and the alert rules that come along: every number they name is one that a manager serves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from prefect_mha.config import ClusterConfig
from prefect_mha.replication.health.metrics import WatchSeen, exposition
from prefect_mha.replication.health.roles import judge
from prefect_mha.replication.memory.failover_flags import FailoverFlags
from prefect_mha.replication.memory.health_file import HealthFile, ManagerStatus
from prefect_mha.replication.memory.last_check import CheckRecord, LastCheck
from tests.unit.replication.planning.test_readiness import CONFIG, cluster

DOCS = Path(__file__).resolve().parents[4] / "docs"
RULES, DASHBOARD = DOCS / "prometheus/mha-rules.yml", DOCS / "grafana/mha.json"
NAME = re.compile(r"\bmha_\w+")


@pytest.fixture
def served(tmp_path: Path) -> dict[str, set[str]]:
    """Every number of a manager that can tell all of them, with its labels."""
    told: ClusterConfig = CONFIG.model_copy(update={"manager_workdir": tmp_path})
    HealthFile(tmp_path, told.name).write(ManagerStatus.PING_OK)
    FailoverFlags(tmp_path, told.name).complete.touch()
    LastCheck(told).write(CheckRecord(12.0, (), {}))
    state = cluster()
    pings = {server.address: 0.1 for server in told.servers}
    text = exposition(told, WatchSeen(state, judge(told, state, None, 100.0), pings, 103.0)).decode()
    lines = re.finditer(r"^(mha_\w+)\{(.*)\}", text, re.MULTILINE)
    return {line[1]: set(re.findall(r"(\w+)=", line[2])) for line in lines}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions(value: Any) -> Iterator[str]:
    """Whatever a panel, a variable or an annotation asks Prometheus."""
    if isinstance(value, dict):
        yield from (value[key] for key in ("expr", "definition") if key in value)
        for each in value.values():
            yield from expressions(each)
    elif isinstance(value, list):
        for each in value:
            yield from expressions(each)


def test_every_number_that_is_named_is_served(served: dict[str, set[str]]) -> None:
    asked = [*expressions(json.loads(DASHBOARD.read_text())), *(rule["expr"] for rule in rules())]
    assert len(asked) > 30
    assert {name for text in asked for name in NAME.findall(text)} <= served.keys()


def test_every_number_that_is_served_is_in_the_documentation(served: dict[str, set[str]]) -> None:
    documented = set(NAME.findall((DOCS / "monitoring.md").read_text()))
    assert served.keys() <= documented
    assert served["mha_server_up"] == {"cluster", "server"}


def test_an_alert_says_of_which_cluster_and_what_to_do() -> None:
    named = [rule["alert"] for rule in rules()]
    assert len(named) == len(set(named))
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].startswith("{{ $labels.cluster }}: ")
        assert rule["annotations"]["description"].endswith((".", "1."))
        # Several managers of a cluster say the same, each with an `instance` of its own: one alert all the same.
        assert re.search(r"\bby \(cluster(, server)?\)", rule["expr"])


def test_panels_have_their_own_places() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        here = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not here & taken
        assert max(x for x, _ in here) < 24
        taken |= here
