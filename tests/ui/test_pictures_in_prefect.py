"""What Prefect shows of an incident and of a plan: the sentence first, and the pictures, in both of its UIs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from prefect_mha.replication.reporting.incident.page import head
from prefect_mha.replication.reporting.report import plan_markdown
from tests.lab.prefect_server import PrefectServer, ask_api
from tests.ui.browser import OUTPUT, PATIENCE
from tests.unit.replication.reporting.history.test_history import LOST, failover, one
from tests.unit.replication.reporting.test_approval import PLAN


@pytest.fixture(scope="module")
def server() -> Iterator[PrefectServer]:
    with PrefectServer() as started:
        yield started


@pytest.mark.parametrize("path", ["", "/v2"], ids=["v1", "v2"])
@pytest.mark.parametrize(
    ("key", "document", "pictures"),
    [
        ("failover-app1", head(one(failover(exit_code=10, ledger=[LOST]))), 2),
        ("failover-app1-plan", plan_markdown(PLAN), 1),
    ],
    ids=["incident", "plan"],
)
def test_both_show_the_pictures(
    browser: Any, server: PrefectServer, path: str, key: str, document: str, pictures: int
) -> None:
    made = ask_api(server.api_url, "/artifacts/", {"key": key, "type": "markdown", "data": document})
    with browser.new_context(viewport={"width": 1280, "height": 1100}) as context:
        seen = context.new_page()
        seen.set_default_timeout(PATIENCE)
        seen.goto(f"http://127.0.0.1:{server.port}{path}/artifacts/artifact/{made['id']}")
        images = "[...document.images].filter(each => each.src.startsWith('data:image/svg') && each.naturalWidth > 500)"
        seen.wait_for_function(f"{images}.length == {pictures}")
        words = "done, but something is left to do; writes were out for 1.9 s" if pictures == 2 else "Failover plan for"
        assert words in seen.inner_text("body")
        seen.screenshot(path=OUTPUT / f"prefect-{key}-{path.strip('/') or 'v1'}.png", full_page=True)
