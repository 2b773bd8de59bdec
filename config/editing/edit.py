"""Put a server's block into a configuration file or take one out; everything else stays as its author wrote it."""

from __future__ import annotations

import codecs
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError, ConfigWarning
from ..forms.ini import block_name
from ..forms.raw import RawConfig, Value, decode, read_bytes
from ..forms.toml import table_name
from ..loader import check_parameters, load_cluster, parse
from ..models import ClusterConfig
from .write import header, is_toml, setting


def add_block(path: Path | str, block: str, values: Mapping[str, str]) -> tuple[ConfigWarning, ...]:
    """Put ``[block]`` with these parameters at the end of the file; returns what is worth saying about them.

    All that is there stays as it is. What the file becomes is read before it is written, without resolving names or
    following secrets; it replaces the old one as in `remove_block`. Raises ConfigError, with the file as it was, when
    the block is there already, when a parameter or value is not valid, or when the file cannot be rewritten.
    """
    path = Path(path)
    before = read_bytes(path)
    text = decode(before)
    check_parameters({key: Value(value, path, None) for key, value in values.items()})
    edited = with_block(text, block, values, path)
    lines = text.count("\n") + 1
    warnings = _loaded(edited, path, f"[{block}] was not added", lines).warnings
    _replace(path, before, _encoded(edited, before))
    return tuple(ConfigWarning(None, None, w.text) for w in warnings if w.file == path and (w.line or 0) > lines)


def with_block(text: str, block: str, values: Mapping[str, str], path: Path) -> str:
    """The text with the block at its end; ``path`` tells the form. Raises ConfigError."""
    if block in parse(text, path).blocks:
        raise ConfigError(f"it has a block [{block}] already", file=path)
    end = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    lines = [header(block, path), *(setting(key, value, path) for key, value in values.items())]
    ends_blank = not text or text.endswith(("\n\n", "\n\r\n"))
    gap = "" if ends_blank else end if text.endswith("\n") else end * 2
    return f"{text}{gap}{end.join(lines)}{end}"


def blocks_of(path: Path | str) -> dict[str, dict[str, str]]:
    """The blocks of a file and their parameters as text. Raises ConfigError."""
    path = Path(path)
    return _values(parse(decode(read_bytes(path)), path))


def remove_block(path: Path | str, block: str, *, expected: str | None = None, check: bool = False) -> None:
    """Remove ``[block]``; comments, order and blank lines of the rest stay.

    The new file replaces the old in one step, with its mode and owner; the old one stays beside it as ``.bak``.
    ``expected`` is the file's text as it was when it was loaded; with ``check`` what remains must be a configuration.
    Raises ConfigError, with the file as it was, when there is no such block, when the file is no longer ``expected``,
    or when it cannot be rewritten.
    """
    path = Path(path)
    before = read_bytes(path)
    text = decode(before)
    if expected is not None and text != expected.removeprefix("\ufeff"):
        raise ConfigError(f"it was changed meanwhile, so [{block}] was not removed", file=path)
    edited = without_block(text, block, path)
    if check:
        _loaded(edited, path, f"[{block}] was not removed", text.count("\n") + 1)
    _replace(path, before, _encoded(edited, before))


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
    wanted = _values(parse(text, path))
    del wanted[block]
    if _values_or_none(edited, path) != wanted:
        raise ConfigError(f"[{block}] cannot be told apart from the rest; remove it by hand", file=path)
    return edited


def _loaded(edited: str, path: Path, failure: str, lines: int) -> ClusterConfig:
    """What the edited text means; an error names no line that the file does not have."""
    try:
        return load_cluster(path, None, resolve=str, secrets=False, text=edited)
    except ConfigError as error:
        line = error.line if error.line and error.line <= lines else None
        raise ConfigError(f"{failure}: {error.sentence}", file=error.file, line=line, key=error.key) from None


def _values(raw: RawConfig) -> dict[str, dict[str, str]]:
    return {name: {key: value.text for key, value in block.values.items()} for name, block in raw.blocks.items()}


def _values_or_none(text: str, path: Path) -> dict[str, dict[str, str]] | None:
    try:
        return _values(parse(text, path))
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
    if is_toml(path):
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


def _encoded(text: str, before: bytes) -> bytes:
    """As bytes, with the byte order mark that the file had."""
    return (codecs.BOM_UTF8 if before.startswith(codecs.BOM_UTF8) else b"") + text.encode("utf-8", "surrogateescape")


def _replace(path: Path, before: bytes, after: bytes) -> None:
    target = path.resolve()
    try:
        write_like(target.with_name(f"{target.name}.bak"), before, target)
        if target.read_bytes() != before:
            raise ConfigError("it was changed meanwhile, so it was left as it is", file=path)
        write_like(target, after, target)
    except OSError as error:
        raise ConfigError(f"it cannot be rewritten: {error.strerror}", file=path) from None


def write_like(file: Path, data: bytes, model: Path) -> None:
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
