"""The floor plan: imports point down, from room to room; nothing imports in a circle. The order stands here alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "prefect_mha"
#: Rooms from the ground up: each may import those before it, and itself. What only the type checker sees is free.
FLOORS = (
    "config",
    "replication.model",
    "replication",
    "replication.local",
    "replication.scripts",
    "replication.binlog",
    "replication.ssh",
    "replication.mysql",
    "replication.memory",
    "replication.cluster",
    "replication.detection",
    "replication.probes",
    "replication.coordination",
    "replication.workload",
    "replication.fencing",
    "replication.actions",
    "replication.source",
    "replication.rescue",
    "replication.address",
    "replication.maintenance",
    "replication.planning",
    "replication.notify",
    "replication.reporting",
    "replication.checks",
    "replication.switchover",
    "replication.rejoin",
    "replication.drill",
    "replication.watch",
    "replication.health",
    "tasks",
    "flows",
    "commands",
)
#: Folders that may hold more than twelve entries: the rooms; a file a command, a verb, a flow, a step, a host's script.
LARGE = {"replication", "commands", "commands/verbs", "flows", "tasks", "replication/scripts"}


def modules() -> dict[str, Path]:
    """Each product module by its dotted name below the package."""
    found = {}
    for top in ("config", "replication", "tasks", "flows", "commands"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """What of ours a file imports when it runs."""
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        pending.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.ImportFrom) and (base := named(node, path)) is not None:
            for each in node.names:
                whole = f"{base}.{each.name}".removeprefix(".")
                yield whole if whole in MODULES else base


def named(node: ast.ImportFrom, path: Path) -> str | None:
    """The module that an import names, below the package; None for somebody else's."""
    if node.level:
        parts = path.relative_to(ROOT).parts[: -node.level]
        return ".".join((*parts, node.module) if node.module else parts)
    top, _, rest = (node.module or "").partition(".")
    return rest if top == PACKAGE else None


def room(module: str) -> str:
    parts = module.split(".")
    if parts[0] == "replication" and f"replication.{parts[1] if len(parts) > 1 else ''}" in FLOORS:
        return ".".join(parts[:2])
    return parts[0]


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_nothing_from_the_floors_above(module: str) -> None:
    floor = FLOORS.index(room(module))
    above = {each for each in imported(MODULES[module]) if FLOORS.index(room(each)) > floor}
    assert not above


def test_no_two_files_import_each_other_in_a_circle() -> None:
    imports = {module: set(imported(path)) & set(MODULES) - {module} for module, path in MODULES.items()}
    left = dict(imports)
    while free := [module for module, wanted in left.items() if not wanted & set(left)]:
        for module in free:
            del left[module]
    assert not left


def test_each_room_says_what_lives_there() -> None:
    silent = [
        name for name, path in MODULES.items() if path.name == "__init__.py" and not ast.get_docstring(_tree(path))
    ]
    assert not silent


def test_no_folder_is_a_drawer() -> None:
    folders = {path.parent for path in MODULES.values()}
    large = {
        str(folder.relative_to(ROOT))
        for folder in folders
        if sum(1 for entry in folder.iterdir() if entry.name not in ("__init__.py", "__pycache__")) > 12
    }
    assert large <= LARGE


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
