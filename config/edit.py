"""Take a server's block out of a configuration file, leaving everything else as its author wrote it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from config.errors import ConfigError
from config.ini import read_text

_HEADER = re.compile(r"\s*\[\s*(?P<name>[^\]]+?)\s*\]")


def remove_block(path: Path, block: str, *, expected: str | None = None) -> None:
    """Remove ``[block]``; comments, order and blank lines of the rest stay.

    The new file replaces the old in one step, with its mode and owner; the old one stays beside it as ``.bak``.
    Raises ConfigError when there is no such block, when the file is no longer ``expected``, or cannot be written.
    """
    text = read_text(path)
    if expected is not None and text != expected:
        raise ConfigError(f"it was changed meanwhile, so [{block}] was not removed", file=path)
    lines = text.splitlines(keepends=True)
    spans = _spans(lines, block)
    if not spans:
        raise ConfigError(f"it has no block [{block}]", file=path)
    for start, end in reversed(spans):
        del lines[start:end]
    _replace(path, "".join(lines))


def _spans(lines: list[str], block: str) -> list[tuple[int, int]]:
    """Where the block's lines are; comments directly above the next header belong to that one."""
    headers = [(n, m["name"].replace('"', "")) for n, line in enumerate(lines) if (m := _HEADER.match(line))]
    spans = []
    for number, (start, name) in enumerate(headers):
        if name != block:
            continue
        end = headers[number + 1][0] if number + 1 < len(headers) else len(lines)
        while number + 1 < len(headers) and end > start + 1 and lines[end - 1].lstrip().startswith(("#", ";")):
            end -= 1
        spans.append((start, end))
    return spans


def _replace(path: Path, text: str) -> None:
    target = path.resolve()
    try:
        before = target.stat()
        shutil.copy2(target, target.with_name(target.name + ".bak"))
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), before.st_mode & 0o7777)
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fsync(file.fileno())
        Path(name).replace(target)
    except OSError as error:
        raise ConfigError(f"it cannot be rewritten: {error.strerror}", file=path) from None
