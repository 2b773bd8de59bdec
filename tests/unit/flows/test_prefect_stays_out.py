"""Who has no API imports no Prefect: it takes a second and a half of a processor, and a watch begins at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prefect_mha.flows.engine.api import api_configured

ROOT = Path(__file__).parents[3]
#: Whatever acts or watches, and every command; those that are about Prefect import it in their own functions.
WITHOUT = (
    "flows.manager.manager",
    "flows.manager.fleet",
    "flows.master_monitor",
    "flows.deeds.failover",
    "flows.deeds.switchover",
    "flows.deeds.rejoin",
    "flows.deeds.drill",
    "flows.engine.standing.run",
    "flows.engine.events",
    *(f"commands.{path.stem}" for path in sorted((ROOT / "commands").glob("*.py"))),
    *(f"commands.verbs.{path.stem}" for path in sorted((ROOT / "commands" / "verbs").glob("*.py"))),
)


def asked(code: str, tmp_path: Path, **settings: str) -> str:
    """What a Python of its own prints, in an empty directory and home."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = clean | {"PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path)} | settings
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_whoever_watches_or_acts_imports_no_prefect(tmp_path: Path) -> None:
    names = [f"prefect_mha.{name}" for name in WITHOUT if not name.endswith("__init__")]
    code = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
    assert not [each for each in sys.modules if each.split(".")[0] == "prefect"], name
from prefect_mha.flows.engine.api import api_configured
print(api_configured(), "prefect" in sys.modules)
"""
    assert asked(code, tmp_path) == "False False"


@pytest.mark.parametrize(
    ("file", "text", "configured"),
    [
        ("", "", False),
        (".env", "PREFECT_API_URL=http://127.0.0.1:4200/api", True),
        ("prefect.toml", '[api]\nurl = "http://127.0.0.1:4200/api"', True),
        ("pyproject.toml", '[tool.prefect.api]\nurl = "http://127.0.0.1:4200/api"', True),
        ("pyproject.toml", '[project]\nname = "prefect-scripts"', False),
        (
            ".prefect/profiles.toml",
            'active = "site"\n[profiles.site]\nPREFECT_API_URL = "http://127.0.0.1:4200/api"',
            True,
        ),
    ],
)
def test_an_api_is_found_wherever_prefect_finds_it(file: str, text: str, configured: bool, tmp_path: Path) -> None:
    if file:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    code = "from prefect_mha.flows.engine.api import api_configured as a; print(a())"
    assert asked(code, tmp_path) == str(configured)


def test_one_that_the_environment_names_is_known_without_prefect(tmp_path: Path) -> None:
    code = (
        "import sys; from prefect_mha.flows.engine.api import api_configured as a; print(a(), 'prefect' in sys.modules)"
    )
    assert asked(code, tmp_path, PREFECT_API_URL="http://127.0.0.1:4200/api") == "True False"


def test_a_setting_that_prefect_does_not_understand_changes_nothing(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from prefect_mha.flows.engine.acting import Deed, Shown
from prefect_mha.flows.engine.ending import Ending
from prefect_mha.flows.engine.standing.run import StandingRun
run = StandingRun("failover", "app1", Path("."))
run.stand_by()
run._thread.join(120)
print(run.act(Deed("key", "name", {}), lambda: "done", lambda done: Shown(Ending("COMPLETED", done), "name")))
run.wait()
run.stand_down()
"""
    url = "http://127.0.0.1:4200/api"
    assert asked(code, tmp_path, PREFECT_API_URL=url, PREFECT_API_REQUEST_TIMEOUT="abc") == "done"


def test_once_prefect_is_there_it_is_asked() -> None:
    from prefect.settings import temporary_settings

    with temporary_settings({"api.url": "http://127.0.0.1:4200/api"}):
        assert api_configured()
