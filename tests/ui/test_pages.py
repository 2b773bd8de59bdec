"""Our own pages in a real browser: nothing is fetched, run or complained of, everybody can read them, at every width.

Screenshots and PDFs are kept in tests/ui/output.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from prefect_mha.replication.reporting.history.incident import Step
from prefect_mha.replication.reporting.incident.page import head, history_page, page
from prefect_mha.replication.reporting.report import plan_html
from tests.ui.browser import OUTPUT
from tests.unit.replication.reporting.history.test_history import LOST, failover, one
from tests.unit.replication.reporting.incident.test_page import HOSTILE
from tests.unit.replication.reporting.incident.test_trends import switch
from tests.unit.replication.reporting.test_approval import PLAN

html5lib = pytest.importorskip("html5lib", reason="make test-ui brings it")
axe = pytest.importorskip("axe_playwright_python", reason="make test-ui brings it")
AXE = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def hostile() -> str:
    """Every word of it is somebody's who wants to do harm; one is a million characters without a blank."""
    words = {"summary": HOSTILE, "notes": [HOSTILE, "y" * 1_000_000], "fenced": HOSTILE, "replicas": {HOSTILE: HOSTILE}}
    words |= {"not_recovered": [HOSTILE], "chosen_for": [HOSTILE], "left_out": {HOSTILE: HOSTILE}}
    told = failover(
        **words, exit_code=10, remedy=HOSTILE,
        ledger=[{**LOST, "why": HOSTILE, "where": "z" * 1_000_000, "tables": [HOSTILE]}], address=[HOSTILE],
    )  # fmt: skip
    made = one(told)
    steps = (
        *made.steps,
        Step(HOSTILE, HOSTILE, made.began, 1.0, False, HOSTILE),
        Step("n" * 1_000_000, "", made.began, 1.0, True),
    )
    return page(
        replace(made, steps=steps, new=HOSTILE, old=HOSTILE, why="\uffff\ufdd0\U0001fffe" + HOSTILE), "</style>x.cnf"
    )


PAGES = {
    "usual": lambda: page(one(failover())),
    "partly": lambda: page(one(failover(exit_code=10, ledger=[LOST], left_out={"db4(10.0.0.4:3306)": "it is broken"}))),
    "refused": lambda: page(one(failover(exit_code=1, refusal="too-early", remedy="Wait an hour.", ledger=[]))),
    "cut-short": lambda: page(one(failover(end=False))),
    "hostile": hostile,
    "plan": lambda: plan_html(PLAN),
    "history": lambda: history_page("app1", [one(failover()), switch(), one(failover(end=False))] * 5, 1.5),
}


def complaints(page_: Any) -> list[str]:
    """What a page fetches that is no file, and whatever the console or a script says; filled while it is looked at."""
    said: list[str] = []
    page_.on("console", lambda message: said.append(message.text))
    page_.on("pageerror", lambda error: said.append(str(error)))
    page_.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page_.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else said.append(request.url)
    )
    return said


@pytest.mark.parametrize("name", PAGES)
def test_a_parser_of_html5_finds_nothing(name: str) -> None:
    parser = html5lib.HTMLParser(strict=False)
    parser.parse(PAGES[name]())
    assert [(where, code) for where, code, _ in parser.errors] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_it_is_read_by_everybody_and_runs_nothing(
    browser: Any, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(PAGES[name](), encoding="utf-8")
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True) as context:
        seen = context.new_page()
        said = complaints(seen)
        seen.goto(f"file://{file}")
        assert seen.evaluate("document.scripts.length") == 0
        # Nothing is wider than the window, but what scrolls by itself.
        assert seen.evaluate("document.documentElement.scrollWidth") <= width
        seen.screenshot(path=OUTPUT / f"page-{name}-{width}-{scheme}.png", full_page=True)
        if (width, scheme) == (1280, "light"):
            seen.pdf(path=OUTPUT / f"page-{name}.pdf", prefer_css_page_size=True)
        assert said == []
        seen.evaluate(AXE)
        found = seen.evaluate(
            "axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes.length, v.nodes[0].html]))"
        )
        assert [each for each in found if each[0] in ("serious", "critical")] == []


def test_its_own_rule_runs_no_script(browser: Any, tmp_path: Path) -> None:
    """Were an escape forgotten once, the page's own policy would still stand between."""
    file = tmp_path / "page.html"
    file.write_text(page(one(failover())).replace("<main>", "<main><script>document.title = 'taken'</script>"))
    with browser.new_context() as context:
        seen = context.new_page()
        seen.goto(f"file://{file}")
        assert seen.title() != "taken"


def test_the_pictures_for_prefect_are_images_that_a_browser_draws(browser: Any) -> None:
    made = replace(one(failover()), old=HOSTILE, new=f"{HOSTILE}2")
    made = replace(made, steps=(*made.steps, Step(HOSTILE, HOSTILE, made.began, 1.0, False, HOSTILE)))
    sources = [part.partition("](")[2].rstrip(")") for part in head(made).split("\n\n") if part.startswith("![")]
    assert len(sources) == 2
    with browser.new_context() as context:
        seen = context.new_page()
        said = complaints(seen)
        seen.set_content("".join(f'<img alt="" src="{source}">' for source in sources))
        seen.wait_for_function("[...document.images].every(each => each.complete)")
        assert seen.evaluate("[...document.images].map(each => each.naturalWidth)") == [970, 840]
        seen.screenshot(path=OUTPUT / "pictures-in-prefect.png", full_page=True)
        assert said == []
        for source in sources:
            seen.goto(source)
            ElementTree.fromstring(seen.content())  # noqa: S314 - made here


def test_a_page_is_made_in_time() -> None:
    page(one(failover()))
    began = time.monotonic()
    page(one(failover()))
    assert time.monotonic() - began < 0.2
