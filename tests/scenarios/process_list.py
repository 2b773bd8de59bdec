"""What `ps` could have shown while something ran."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def watched(secret: str) -> Iterator[set[str]]:
    """Every command line with the secret in it that `ps` could have shown meanwhile."""
    seen: set[str] = set()
    end = threading.Event()

    def look() -> None:
        while not end.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    if secret.encode() in (line := path.read_bytes()):
                        seen.add(line.decode(errors="replace"))
                except OSError:
                    continue
            end.wait(0.005)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()
