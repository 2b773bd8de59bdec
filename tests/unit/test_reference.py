"""The reference pages are as the code is: what differs is written anew by ``make docs``."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.reference import DOCS, ROOT, pages, with_rows


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_is_as_make_docs_writes_it(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == pages()[page], "run make docs"


def test_every_command_has_its_part() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert [name for name in scripts if name != "mha" and f"\n## {name}\n" not in page] == []


def test_what_is_new_is_put_by_a_person_and_what_is_gone_loses_its_row(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("| a | b |\n|---|---|\n| `gone` | x |\n| `here` | old |\n")
    assert with_rows(page, {"here": "| `here` | new |"}) == "| a | b |\n|---|---|\n| `here` | new |\n"
    with pytest.raises(ValueError, match="has no row for new"):
        with_rows(page, {"here": "", "new": "| `new` |"})
