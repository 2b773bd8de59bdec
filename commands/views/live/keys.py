"""The live view itself: draws what was seen, and does what a key says. For a terminal alone."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live

from ....replication.model.words import visible
from ....replication.notify.manager_log import take_over
from .glance import Glance
from .looking import Held, Looking
from .screen import screen

#: Seconds at most between two drawings: the clock goes on, and what is old is seen to be.
DRAWN_EVERY = 1.0
ROOT = Path(__file__).resolve().parents[3]


def watch(confs: Sequence[Path], global_conf: Path, held: Held, pause: float) -> int:
    """Show the clusters until somebody presses q; returns 0. Keys are those of `screen.KEYS`."""
    console = Console(highlight=False)
    # What is wrong is drawn; a line of a log would be drawn over.
    take_over(logging.CRITICAL, logging.NullHandler())
    chosen: Glance | None = None
    with Looking(confs, global_conf, held, pause) as looking:
        while True:
            key, chosen = _shown(console, looking, chosen)
            if key == "q":
                return 0
            if chosen is not None and key == "s":
                _switch(chosen, global_conf)
            elif chosen is not None and key == "r":
                _page(console, chosen)


def _shown(console: Console, looking: Looking, chosen: Glance | None) -> tuple[str, Glance | None]:
    """Draw until a key wants more than another cluster; that key, and the chosen cluster as it was drawn last."""
    with _each_key() as key_within, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            seen = looking.glances()
            at = place(seen, chosen)
            chosen = seen[at] if seen else None
            size = console.size
            live.update(screen(seen, at, size.width, size.height, time.time()), refresh=True)
            key = key_within(DRAWN_EVERY)
            if key in ("n", "p") and seen:
                chosen = seen[(at + (1 if key == "n" else -1)) % len(seen)]
            elif key in ("q", "\x03", "\x04"):
                return "q", chosen
            elif key in ("s", "r"):
                return key, chosen


def place(seen: Sequence[Glance], chosen: Glance | None) -> int:
    """Where the chosen one is by now, by its file: two clusters may have one name. Pure."""
    return next((at for at, each in enumerate(seen) if chosen is not None and each.conf == chosen.conf), 0)


@contextlib.contextmanager
def _each_key() -> Iterator[_Keys]:
    """Keys as they are pressed, without a new line and without an echo; the terminal is as before at the end."""
    stdin = sys.stdin.fileno()
    former = termios.tcgetattr(stdin)
    try:
        tty.setcbreak(stdin)
        yield _Keys(stdin)
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, former)


class _Keys:
    def __init__(self, stdin: int) -> None:
        self._stdin = stdin

    def __call__(self, seconds: float) -> str:
        """The next key, empty when none comes within that time; the end of input is a q."""
        ready, _, _ = select.select([self._stdin], [], [], seconds)
        if not ready:
            return ""
        return os.read(self._stdin, 1).decode("ascii", "replace") or "q"


def _switch(seen: Glance, global_conf: Path) -> None:
    """The planned switch, which shows its plan and asks, as a command of its own; then back."""
    words = ["switchover", "--conf", str(seen.conf), "--global-conf", str(global_conf), "--keep-old-as-replica"]
    waited_for([sys.executable, "-m", "prefect_mha.commands.mha", *words])
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        input("Enter goes back to the view. ")


def waited_for(command: Sequence[str]) -> int:
    """Run one of our own commands on this terminal, to its end; its exit code.

    Ctrl-C reaches it from the terminal, and it ends in order: `subprocess.run` would kill it a moment later, in the
    middle of what it takes back or finishes. That signal is not ignored here, for the command would inherit that.
    """
    child: subprocess.Popen[bytes] | None = None
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            child = child or subprocess.Popen(command)  # noqa: S603 - our own program, files that this person named
            return child.wait()


def _page(console: Console, seen: Glance) -> None:
    """The runbook's page about what is wrong, in the pager."""
    from rich.markdown import Markdown

    with console.pager(styles=False):
        console.print(Markdown(visible(section((ROOT / "docs" / "runbook.md").read_text("utf-8"), seen.runbook))))


def section(text: str, heading: str) -> str:
    """The part of a page below that heading of the second level; the whole page when there is none. Pure."""
    begin = text.find(f"\n## {heading}")
    if begin < 0:
        return text
    end = text.find("\n## ", begin + 1)
    return text[begin:end].strip() if end > 0 else text[begin:].strip()
