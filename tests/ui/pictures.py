"""``make pictures``, second half: the page of the demo, all clusters, and Prefect's UI as PNG, none drawn by hand."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.ui.browser import OUTPUT, browser_page

#: The tests that make a screenshot, and what it is called here.
SHOTS = {
    "test_fleet_page.py::test_three_hundred_clusters_are_seen_and_found[1280-light]": ("fleet-1280-light", "fleet"),
    "test_pictures_in_prefect.py::test_both_show_the_pictures[incident-v2]": ("prefect-failover-app1-v2", "prefect"),
    "test_pictures_in_prefect.py::test_both_show_the_pictures[plan-v1]": ("prefect-failover-app1-plan-v1", "plan"),
}


def main() -> int:
    """Exit code 0 when all are there."""
    to = Path(sys.argv[1])
    html = to / "incident.html"
    with browser_page((1100, 900)) as seen:
        seen.goto(f"file://{html.absolute()}")
        seen.screenshot(path=to / "incident.png")
    html.unlink()
    code = pytest.main(["-q", "-p", "no:cacheprovider", *(str(Path(__file__).parent / name) for name in SHOTS)])
    for shot, name in SHOTS.values():
        shutil.copy(OUTPUT / f"{shot}.png", to / f"{name}.png")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
