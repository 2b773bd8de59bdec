"""Take a server's block out of a configuration file, leaving everything else as its author wrote it."""

from __future__ import annotations

import codecs
import os
import re
import tempfile
from pathlib import Path

from config.errors import ConfigError
from config.ini import block_name, parse_ini
from config.raw import RawConfig, decode, read_bytes
from config.toml import parse_toml, table_name


def remove_block(path: Path | str, block: str, *, expected: str | None = None) -> None:
    """Remove ``[block]``; comments, order and blank lines of the rest stay.

    The new file replaces the old in one step, with its mode and owner; the old one stays beside it as ``.bak``.
    ``expected`` is the file's text as it was when it was loaded. Raises ConfigError, with the file as it was, when
    there is no such block, when the file is no longer ``expected``, or when it cannot be rewritten.
    """
    path = Path(path)
    before = read_bytes(path)
    text = decode(before)
    if expected is not None and text != expected.removeprefix("\ufeff"):
        raise ConfigError(f"it was changed meanwhile, so [{block}] was not removed", file=path)
    edited = without_block(text, block, path)
    mark = codecs.BOM_UTF8 if before.startswith(codecs.BOM_UTF8) else b""
    _replace(path, before, mark + edited.encode("utf-8", "surrogateescape"))


def without_block(text: str, block: str, path: Path) -> str:
    """The text without the block; ``path`` tells the format. Raises ConfigError when that is not safely possible."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    spans = _spans(lines, block, path)
    if not spans:
        raise ConfigError(f"it has no block [{block}]", file=path)
    for start, end in reversed(spans):
        doubled = start and not lines[start - 1].strip() and end < len(lines) and not lines[end].strip()
        del lines[start : end + 1 if doubled else end]
    edited = "".join(lines)
    wanted = _values(_parse(text, path))
    del wanted[block]
    if _values_or_none(edited, path) != wanted:
        raise ConfigError(f"[{block}] cannot be told apart from the rest; remove it by hand", file=path)
    return edited


def _parse(text: str, path: Path) -> RawConfig:
    return parse_toml(text, path) if path.suffix == ".toml" else parse_ini(text, path)


def _values(raw: RawConfig) -> dict[str, dict[str, str]]:
    return {name: {key: value.text for key, value in block.values.items()} for name, block in raw.blocks.items()}


def _values_or_none(text: str, path: Path) -> dict[str, dict[str, str]] | None:
    try:
        return _values(_parse(text, path))
    except ConfigError:
        return None


def _spans(lines: list[str], block: str, path: Path) -> list[tuple[int, int]]:
    """Where the block's lines are, as often as its header stands in the file."""
    headers = [(number, name) for number, line in enumerate(lines) if (name := _name(line, path, number + 1))]
    starts = [number for number, _ in headers] + [len(lines)]
    return [
        (start, _end(lines, start, starts[place + 1])) for place, (start, name) in enumerate(headers) if name == block
    ]


def _name(line: str, path: Path, number: int) -> str | None:
    if path.suffix == ".toml":
        return table_name(line)
    return block_name(line, path, number) if line.lstrip().startswith("[") else None


def _end(lines: list[str], start: int, limit: int) -> int:
    """Where a block's own lines end.

    Comments right below its last setting are its own; those behind a blank line, or right above the next header, are
    not.
    """
    setting = max(n for n in range(start, limit) if n == start or not _blank_or_comment(lines[n]))
    end = setting + 1
    while end < limit and lines[end].strip():
        end += 1
    return setting + 1 if end == limit and limit < len(lines) else end


def _blank_or_comment(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith(("#", ";"))


def _replace(path: Path, before: bytes, after: bytes) -> None:
    target = path.resolve()
    try:
        _write(target.with_name(f"{target.name}.bak"), before, target)
        if target.read_bytes() != before:
            raise ConfigError("it was changed meanwhile, so it was left as it is", file=path)
        _write(target, after, target)
    except OSError as error:
        raise ConfigError(f"it cannot be rewritten: {error.strerror}", file=path) from None


def _write(file: Path, data: bytes, model: Path) -> None:
    """Put ``data`` in the place of ``file`` in one step, with the mode and owner of ``model``."""
    like = model.stat()
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as output:
            output.write(data)
            output.flush()
            os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, like.st_mode & 0o7777)
            os.fsync(descriptor)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
