"""What a statement in a process list does, told from its text, and how it is shown: without its literals. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum


class StatementKind(StrEnum):
    """What a statement may do to data. Unknown ones count as updates."""

    NONE = "none"
    READ = "read"
    UPDATE = "update"
    DDL = "ddl"
    LOCK = "lock"


_TOKEN = re.compile(
    r"""
      (?P<string>'(?:[^'\\]|\\.|'')*'? | "(?:[^"\\]|\\.|"")*"?)
    | (?P<name>`(?:[^`]|``)*`?)
    | (?P<code>/\*M?!\d* | /\*(?=!))
    | (?P<comment>/\*.*?(?:\*/|\Z) | \#[^\n]* | --(?=\s|\Z)[^\n]*)
    | (?P<end>\*/)
    | (?P<number>\b(?:0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?)\b)
    | (?P<word>[a-z_$@\u0080-\uffff][\w$@.\u0080-\uffff]*)
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)

_READS = frozenset(
    "SELECT SHOW DESC DESCRIBE EXPLAIN HELP USE VALUES TABLE DO SET KILL CHECKSUM HANDLER UNLOCK".split()
)
_DDL = frozenset("CREATE ALTER DROP TRUNCATE RENAME OPTIMIZE REPAIR CHECK GRANT REVOKE INSTALL UNINSTALL".split())
_AFTER_WITH = frozenset({"SELECT", "UPDATE", "DELETE", "INSERT", "REPLACE", "VALUES", "TABLE"})
_LOCKING_READS = (("FOR", "UPDATE"), ("FOR", "SHARE"), ("LOCK", "IN", "SHARE", "MODE"))

_LOCKING_END = re.compile(r"\b(?:FOR\s+(?:UPDATE|SHARE)|SHARE\s+MODE)\b", re.IGNORECASE)

#: An INSERT may be as long as max_allowed_packet; so many characters of it are read through.
READ_THROUGH = 1 << 16
#: The longest text that a sentence or a report shows of a statement, in characters.
SHOWN = 120


def kind_of(sql: str) -> StatementKind:
    """What the statement does. Comments before it and within it do not count, those that the server executes do."""
    kind = _kind(_outer_words(sql[:READ_THROUGH]))
    if kind is StatementKind.READ and len(sql) > READ_THROUGH and _LOCKING_END.search(sql[-SHOWN:]):
        return StatementKind.UPDATE
    return kind


def _kind(words: Sequence[str]) -> StatementKind:
    if not words:
        return StatementKind.NONE
    first, rest = words[0], words[1:]
    if first == "WITH":
        main = next((i for i, word in enumerate(rest) if word in _AFTER_WITH), None)
        return StatementKind.UPDATE if main is None else _kind(rest[main:])
    if first == "SET" and rest[:1] == ["STATEMENT"] and "FOR" in rest:
        return _kind(rest[rest.index("FOR") + 1 :])
    if first == "ANALYZE":
        # MariaDB's ANALYZE [FORMAT=JSON] executes the statement that follows; the other is ANALYZE TABLE.
        main = next((i for i, word in enumerate(rest[:3]) if word in _AFTER_WITH and word != "TABLE"), None)
        return StatementKind.DDL if main is None else _kind(rest[main:])
    if first in ("LOCK", "BACKUP", "FLUSH"):
        return StatementKind.LOCK
    if first in ("SELECT", "VALUES", "TABLE"):
        locks = any(tuple(words[i : i + len(p)]) == p for p in _LOCKING_READS for i in range(len(words)))
        return StatementKind.UPDATE if locks else StatementKind.READ
    if first in _READS:
        return StatementKind.READ
    return StatementKind.DDL if first in _DDL else StatementKind.UPDATE


def _outer_words(sql: str) -> list[str]:
    """The words outside of parentheses, in capitals; a statement that is one parenthesis is looked into."""
    levels: list[tuple[int, str]] = []
    depth = 0
    for token in _TOKEN.finditer(sql):
        if token.lastgroup == "other":
            depth += {"(": 1, ")": -1}.get(token[0], 0)
        elif token.lastgroup == "word":
            levels.append((depth, token[0].upper()))
    outermost = levels[0][0] if levels else 0
    return [word for level, word in levels if level <= outermost]


def shorten(sql: str, width: int = SHOWN) -> str:
    """The statement in one line without comments, every literal a question mark, cut at ``width`` characters."""
    parts: list[str] = []
    for token in _TOKEN.finditer(sql[: 8 * width]):
        if token.lastgroup in ("string", "number"):
            parts.append("?")
        elif token.lastgroup in ("comment", "code", "end", "space"):
            parts.append(" ")
        else:
            parts.append(token[0])
    text = re.sub(r"\s+", " ", "".join(parts)).strip()
    # A literal that began before the cut and ends behind it is one token up to the end, and so is masked.
    return text if len(text) <= width and len(sql) <= 8 * width else text[: width - 1] + "…"


def names_table(sql: str, table: str) -> bool:
    """Whether the statement's text names that table, quoted or not."""
    return re.search(rf"(?<![\w$]){re.escape(table)}(?![\w$])", sql, re.IGNORECASE) is not None
