"""The question before a failover in both of Prefect's UIs, on a desk and on a phone: it is all seen, and answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.prefect_server import PrefectServer, ask_api
from tests.scenarios.test_approval_in_prefect import asked, run_in_state
from tests.ui.browser import PHONE, WIDE, Locator, Page, browser_page, expect, shot


@dataclass(frozen=True)
class Ui:
    """One of the two: where it is, and how its page of a run is worked."""

    name: str
    path: str
    submit: str

    def open_question(self, page: Page, base: str, run: str) -> Locator:
        page.goto(f"{base}{self.path}/runs/flow-run/{run}")
        if self.name == "v1" and page.viewport_size["width"] > PHONE[0]:
            page.get_by_role("button", name="Resume").first.click()
        elif self.name == "v1":
            page.locator(".p-icon-button-menu").first.click()
            page.get_by_text("Resume", exact=True).last.click()
        else:
            page.get_by_role("button", name="More").or_(page.locator("button[aria-haspopup=menu]")).first.click()
            page.get_by_role("menuitem", name="Resume").click()
        return page.get_by_role("dialog")

    def choose(self, page: Page, dialog: Locator, title: str, option: str) -> None:
        # With the keyboard: a click on a select of the first UI closes it again at once in a window without a screen.
        if self.name == "v1":
            field = dialog.locator(".schema-form-property").filter(has=page.get_by_text(title, exact=True))
            field.locator("fieldset button").focus()
        else:
            dialog.get_by_label(title).first.focus()
        page.keyboard.press("Space")
        page.get_by_role("option", name=option, exact=True).click()


UIS = (Ui("v1", "", "Submit"), Ui("v2", "/v2", "Resume"))


@pytest.fixture(scope="module")
def server() -> Any:
    with PrefectServer() as started:
        yield started


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("ui", UIS, ids=lambda ui: ui.name)
def test_the_question_is_seen_and_answered(server: PrefectServer, ui: Ui, size: tuple[int, int]) -> None:
    name = f"{ui.name}-{size[0]}"
    process = asked(server, name, 600.0, "abort")
    try:
        run = run_in_state(server, name, "PAUSED")
        with browser_page(size) as page:
            dialog = ui.open_question(page, f"http://127.0.0.1:{server.port}", run["id"])
            expect(dialog.get_by_text("Decision", exact=True)).to_be_visible()
            shot(page, f"question-{name}", full_page=False)
            height = page.viewport_size["height"]
            for title in ("Decision", "Accept that transactions are or may be lost"):
                field = dialog.get_by_text(title).first.bounding_box()
                assert field is not None
                # Without a turn of the wheel: what is below the edge is not seen at three in the morning.
                assert 0 <= field["y"] < height, title
            expect(dialog.get_by_text("At stake: 42 bytes")).to_be_visible()
            expect(dialog.get_by_text("is dead. Start the failover to db2")).to_be_in_viewport(ratio=1)
            # Nobody starts anything by not deciding.
            dialog.get_by_role("button", name=ui.submit).click()
            page.wait_for_timeout(1000)
            shot(page, f"undecided-{name}", full_page=False)
            assert run_in_state(server, name, "PAUSED")["id"] == run["id"]
            ui.choose(page, dialog, "Decision", "start")
            dialog.locator("textarea").last.fill("Ada at night")
            shot(page, f"answered-{name}", full_page=False)
            dialog.get_by_role("button", name=ui.submit).click()
            said, _ = process.communicate(timeout=90)
    finally:
        process.kill()
        process.wait(10)
    answer = json.loads(said.splitlines()[-1])
    assert (answer["go_on"], answer["new_primary"], answer["by"]) == (True, "10.0.0.2:3306", "Ada at night")
    assert answer["accept_loss"] is False
    assert ask_api(server.api_url, f"/flow_runs/{run['id']}", method="GET")["state_type"] == "COMPLETED"
