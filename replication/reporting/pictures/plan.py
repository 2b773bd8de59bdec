"""A plan as it is looked at: before and after as one picture, and the whole of it as a page."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ...planning.role_plan import RolePlan
from .boxes import Tree

log = logging.getLogger("mha")


def before_and_after(trees: tuple[Tree, ...], instead: Iterable[str]) -> str:
    """The picture for Markdown; where it cannot be drawn, one line of the log says why, and text stands ``instead``."""
    try:
        # Whoever only plans, or acts, waits for no template engine.
        from .drawn import in_markdown, trees_image

        return in_markdown("; ".join(tree.title for tree in trees), trees_image(trees))
    except Exception as error:  # noqa: BLE001 - no question may depend on a picture
        log.error("There is no picture of the plan: %s: %s", type(error).__name__, error)
        return "\n".join(instead)


def plan_page(plan: RolePlan, trees: tuple[Tree, ...], remarks: tuple[str, ...] = ()) -> str:
    """The whole plan as one HTML file; ``remarks`` are what is to be known beside it."""
    from .drawn import environment

    return environment(600).get_template("plan.html").render(plan=plan, trees=trees, remarks=remarks)
