"""Memory holds passwords: no command leaves a core file, nor does what it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_ASKED = "subprocess.run(['sh', '-c', 'ulimit -c']).returncode"
_START = (
    "import resource, subprocess; most = resource.getrlimit(resource.RLIMIT_CORE)[1]; "
    "resource.setrlimit(resource.RLIMIT_CORE, (most, most)); "
)


@pytest.mark.parametrize(
    "program",
    [
        f"from prefect_mha.commands.shared import options; options.run(lambda: {_ASKED})",
        f"from prefect_mha.commands import mha; mha.app = lambda: {_ASKED}; mha.main()",
    ],
    ids=["masterha", "mha"],
)
def test_neither_it_nor_its_hooks_leave_one(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _START + program], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stdout == "0\n"
