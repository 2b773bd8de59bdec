"""MHA's own files: the dialect of Perl's Config::Tiny 2.28, with its traps told and what was meant done.

Blank lines and lines that begin with ``#`` or ``;`` are skipped; keys and values are trimmed; a value may hold ``=``;
`` ; text`` ends a value. The old parser kept `` # text`` and `` // text`` as part of the value (MHA manager issue
137), which nobody who writes them wants: they are taken as comments, with a warning. Quotes protect everything.

A secret may well hold ``#``, so there a comment needs a tab or two spaces before it, or one space when the secret is
ASCII and the comment is not. A host or user is one word: what follows it in another script is a comment as well.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import ConfigError
from .raw import SECRET_KEYS, Block, RawConfig, Value, is_utf8

_HEADER = re.compile(r"\[\s*(?P<name>[^\[\]]*[^\[\]\s])\s*\]\s*(?:(?:[#;]|//).*)?")
_OLD_COMMENT = re.compile(r"\s;\s")
#: Quoted parts first, so that a marker inside them is passed over; a leading // may be a path.
_QUOTED_OR_COMMENT = re.compile(r"\"[^\"]*\"|'[^']*'|\s;(?=\s)|(?:^|(?<=\s))#|(?<=\s)//|^//(?=\s)")
_WORDS = frozenset({"hostname", "ip", "ssh_host", "user", "repl_user", "ssh_user"})
_MARKER_IN_SECRET = re.compile(r"(?P<space>\s+)(?P<mark>#|//)")


def parse_ini(text: str, path: Path) -> RawConfig:
    """The blocks of a file's text. Raises ConfigError, whose text never repeats a line: it may hold a secret."""
    raw = RawConfig(path)
    block: Block | None = None
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if stripped.startswith("["):
            block = raw.block(block_name(stripped, path, number), number)
            continue
        key, equals, written = stripped.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError("this line is neither a [block] nor name=value", file=path, line=number)
        if block is None:
            raise ConfigError("this line stands before the first [block]", file=path, line=number)
        block.values[key] = _value(key, written.strip(), raw, number)
    return raw


def block_name(line: str, path: Path, number: int) -> str:
    """The name in a ``[header]``, which a comment may follow."""
    header = _HEADER.fullmatch(line.strip())
    if header is None:
        raise ConfigError("this line is not a block header such as [server1]", file=path, line=number)
    if not header["name"].isprintable():
        raise ConfigError("the block's name holds what cannot be printed", file=path, line=number)
    return header["name"]


def unquoted(text: str, *, secret: bool = False) -> str | None:
    """The inside of a value in matching quotes, which a comment may follow; None when it is not quoted.

    In a secret the last quote of the line closes, so that it may hold the same quote.
    """
    if len(text) < 2 or text[0] not in "'\"":
        return None
    mark = text[0]
    commented = re.fullmatch(rf"{mark}([^{mark}]*){mark}\s+(?:[#;]|//).*", text)
    whole = text[1:-1] if text[-1] == mark else None
    if secret and whole is not None:
        return whole
    if commented:
        return commented[1]
    # "/a b" --to "c": the first pair ends inside, so the quotes are a command's own. MHA damages such a value.
    return None if whole and re.match(rf"[^{mark}]*[^{mark}\s]{mark}\s", whole) else whole


def _value(key: str, text: str, raw: RawConfig, line: int) -> Value:
    inner = unquoted(text, secret=key in SECRET_KEYS)
    if inner is None:
        inner = _without_comment(key, text, raw, line)
        if inner[-1:] in ("'", '"') and inner.count(inner[-1]) % 2:
            raw.warn(line, f"{key} ends in a quote that nothing opens; it is kept as part of the value")
        if key in _WORDS:
            inner = _word(key, inner, raw, line)
    if not is_utf8(key + inner):
        raise ConfigError("this line's value is not UTF-8 text; save the file as UTF-8", file=raw.file, line=line)
    return Value(inner, raw.file, line)


def _word(key: str, text: str, raw: RawConfig, line: int) -> str:
    """A value that is one word; behind an ASCII one, words in another script can only be a comment."""
    words = text.split(maxsplit=1)
    if len(words) < 2:
        return text
    if words[0].isascii() and not words[1].isascii():
        raw.warn(line, f"what follows the first word of {key} is taken as a comment; quote the value if it is not")
        return words[0]
    raw.warn(line, f"{key} holds a space; if a comment follows the value, begin it with #")
    return text


def _without_comment(key: str, text: str, raw: RawConfig, line: int) -> str:
    secret = key in SECRET_KEYS
    found = _comment_in_secret(text) if secret else _comment(text)
    if found is not None:
        start, mark = found
        text = text[:start].rstrip()
        if mark != ";":
            raw.warn(line, f"what follows {mark} after {key} is taken as a comment; quote the value if it is not")
    elif secret and (text.startswith("#") or _MARKER_IN_SECRET.search(text)):
        raw.warn(line, f"{key} holds # or //, taken as part of it; put it in quotes to make that plain")
    return text


def _comment(text: str) -> tuple[int, str] | None:
    """Where the comment of an unquoted value begins, and with what."""
    for match in _QUOTED_OR_COMMENT.finditer(text):
        mark = match[0].strip()
        if mark in ("#", "//", ";"):
            return match.start(), mark
    return None


def _comment_in_secret(text: str) -> tuple[int, str] | None:
    old = _OLD_COMMENT.search(text)
    for match in _MARKER_IN_SECRET.finditer(text, 0, old.start() if old else len(text)):
        set_off = len(match["space"]) > 1 or match["space"] == "\t"
        if set_off or (text[: match.start()].isascii() and not text[match.end() :].isascii()):
            return match.start(), match["mark"]
    return (old.start(), ";") if old else None
