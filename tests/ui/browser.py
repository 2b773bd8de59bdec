"""A browser for the tests of Prefect's UIs: Debian's chromium, and screenshots that hold no password."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.kinds import ADMIN_PASSWORD, REPL_PASSWORD

sync_api = pytest.importorskip("playwright.sync_api", reason="make test-ui brings it")
Page, Locator = sync_api.Page, sync_api.Locator
expect = sync_api.expect

OUTPUT = Path(__file__).parent / "output"
CHROMIUM = "/usr/bin/chromium"
#: Milliseconds; a page of a busy machine takes its time.
PATIENCE = 60_000
WIDE, PHONE = (1400, 1100), (390, 844)


@contextlib.contextmanager
def browser_page(size: tuple[int, int] = WIDE) -> Iterator[Page]:
    """A page of a browser that runs where this thread is: on the manager's host."""
    OUTPUT.mkdir(exist_ok=True)
    expect.set_options(timeout=PATIENCE)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.set_default_timeout(PATIENCE)
        try:
            yield page
        except BaseException:
            page.screenshot(path=OUTPUT / "where-it-failed.png", full_page=True)
            raise
        finally:
            browser.close()


def shot(page: Page, name: str, *, full_page: bool = True) -> None:
    """Keep what is to be seen; no password is."""
    page.wait_for_timeout(500)  # transitions of the page
    shown = page.content()
    assert [password for password in (ADMIN_PASSWORD, REPL_PASSWORD) if password in shown] == []
    page.screenshot(path=OUTPUT / f"{name}.png", full_page=full_page)
