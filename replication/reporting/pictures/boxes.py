"""Servers as boxes: who follows whom. Plain data; of a plan it is made here, of an incident in `incident.topology`."""

from __future__ import annotations

from dataclasses import dataclass

from ...planning.role_plan import RolePlan, short_name


@dataclass(frozen=True)
class Box:
    """One server: its name, a word of what it is, whether it hangs below the primary, and a line below that word."""

    name: str
    role: str
    below: bool
    detail: str = ""


@dataclass(frozen=True)
class Tree:
    """One picture: a primary, who follows it, and who stands apart."""

    title: str
    boxes: tuple[Box, ...]

    def said(self) -> str:
        """The same in words, for whoever does not see it."""
        return f"{self.title}: {', '.join(f'{box.name} is {box.role}' for box in self.boxes)}"


def planned(plan: RolePlan, *, dead: bool, kept: str, follows: bool = False) -> tuple[Tree, Tree]:
    """As it is and as it will be. ``kept`` is what the old primary is then; ``follows``: below the new one."""
    old, new = short_name(plan.former_name), short_name(plan.new_primary_name)

    def at(name: str) -> str:
        executed = next((x.executed for x in plan.levelings if x.name == name), None)
        return f"executed {executed}" if executed is not None else ""

    apart = tuple(Box(short_name(name), "left out", False, why) for name, why in plan.left_out)
    replicas = [(short_name(x.name), at(x.name)) for x in plan.others]
    before = (
        Box(old, "primary, dead" if dead else "primary", False),
        Box(new, "replica", True, at(plan.new_primary_name)),
        *(Box(name, "replica", True, where) for name, where in replicas),
        *apart,
    )
    followers = tuple(Box(name, "replica", True) for name, _ in replicas)
    former = (Box(old, kept, follows),)
    rest = (*former, *apart) if follows else (*apart, *former)
    return Tree("Before", before), Tree("After", (Box(new, "primary", False), *followers, *rest))
