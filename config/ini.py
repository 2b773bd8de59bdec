"""MHA's own files: the dialect of Perl's Config::Tiny 2.28, with its traps told and what was meant done.

Blank lines and lines that begin with ``#`` or ``;`` are skipped; keys and values are trimmed; a value may hold ``=``;
`` ; text`` ends a value. The old parser kept `` # text`` and `` // text`` as part of the value (MHA manager issue
137), which nobody who writes them wants: they are taken as comments, with a warning. Quotes protect everything.
In a secret, where ``#`` may well be meant, a comment needs a tab or two spaces before it.
"""

from __future__ import annotations

import re
from pathlib import Path

from config.errors import ConfigError, ConfigWarning
from config.raw import Block, RawConfig, Value

SECRET_KEYS = frozenset({"password", "repl_password"})
_HEADER = re.compile(r"\[\s*(?P<name>.+?)\s*\]\s*(?P<rest>.*)")
_COMMENT = re.compile(r"\s(?:#|//)")
_COMMENT_AFTER_SECRET = re.compile(r"(?:\t|\s{2,})(?:#|//)")


def read_ini(path: Path) -> RawConfig:
    """Read one file. Raises ConfigError with the line of what cannot be understood."""
    return parse_ini(read_text(path), path)


def read_text(path: Path) -> str:
    """A configuration file's text; unreadable files are told in one sentence."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError("no such file", file=path) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"it is not UTF-8 text (byte {error.start})", file=path) from None
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}", file=path) from None


def parse_ini(text: str, path: Path) -> RawConfig:
    """The blocks of a file's text."""
    raw = RawConfig(path)
    block: Block | None = None
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if stripped.startswith("["):
            block = raw.block(_block_name(stripped, path, number), number)
            continue
        key, equals, rest = stripped.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError(
                f"{stripped[:40]!r} is neither a [block] nor name=value" if key not in SECRET_KEYS else "no = after it",
                file=path,
                line=number,
            )
        if block is None:
            raise ConfigError(f"{key} stands before the first [block]", file=path, line=number, key=key)
        block.values[key] = _value(key, rest.strip(), raw, number)
    return raw


def _block_name(line: str, path: Path, number: int) -> str:
    header = _HEADER.fullmatch(line)
    if header is None or (header["rest"] and header["rest"][0] not in "#;/"):
        raise ConfigError(f"{line!r} is not a block header such as [server1]", file=path, line=number)
    return header["name"]


def _value(key: str, text: str, raw: RawConfig, line: int) -> Value:
    quoted = _quoted(text)
    if quoted is not None:
        inner, rest = quoted
        if rest and rest[0] not in "#;/":
            return Value(text, raw.file, line)
        return Value(inner, raw.file, line, quoted=True)
    text = re.split(r"\s;\s", text, maxsplit=1)[0].rstrip()
    pattern = _COMMENT_AFTER_SECRET if key in SECRET_KEYS else _COMMENT
    comment = pattern.search(f" {text}" if key not in SECRET_KEYS else text)
    if comment:
        start = comment.start() - (0 if key in SECRET_KEYS else 1)
        kept = text[: max(0, start)].rstrip()
        raw.warnings.append(
            ConfigWarning(
                raw.file,
                line,
                f"what follows {comment[0].strip()} after {key} is taken as a comment; quote the value if it is not",
            )
        )
        text = kept
    elif key in SECRET_KEYS and _COMMENT.search(text):
        raw.warnings.append(
            ConfigWarning(raw.file, line, f"{key} holds # or // after a single space, taken as part of it; quote it")
        )
    if text[-1:] in ("'", '"') and text[:1] != text[-1:]:
        raw.warnings.append(
            ConfigWarning(raw.file, line, f"{key} ends in a quote that nothing opens; it is kept as part of the value")
        )
    return Value(text, raw.file, line)


def _quoted(text: str) -> tuple[str, str] | None:
    """The inside of a value in matching quotes and what follows them; None when it is not quoted.

    The last matching quote closes, so that a quoted password may hold the same quote.
    """
    if len(text) < 2 or text[0] not in "'\"":
        return None
    mark = text[0]
    if text[-1] == mark:
        return text[1:-1], ""
    closing = re.fullmatch(rf"{mark}([^{mark}]*){mark}\s*((?:[#;]|//).*)", text)
    return (closing[1], closing[2]) if closing else None
