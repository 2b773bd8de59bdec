"""The words of others, made harmless where they are shown: server errors, hook output, names, statements. Pure.

Nothing that comes from a server, a host, a script or a person decides how the rest of a page, a mail, a log or a
terminal reads: no new line of a log, no terminal command, no link, no mention, no text that runs backwards. What is
taken away is shown as its number, so that nothing is hidden either.
"""

from __future__ import annotations

import re

#: Characters of one message of others that are kept.
LONGEST = 4000

#: C0 and C1 controls, marks that turn the direction of text (Unicode TR9) or show as nothing at all, separators of
#: lines and paragraphs, surrogates, what is no character at all (no HTML and no XML may hold it); what stays is what a
#: person can see. A tab and a new line are another matter.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
_BREAKS = re.compile(r"[\t\r\n\x0b\x0c\x85\u2028\u2029]+[ \t]*")
#: What begins an entry of our log, at the beginning of a further line.
_ENTRY = re.compile(r"(?m)(?<=\n)(?=[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} - \[)")

_CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_MARKUP = re.compile(r"([\\`*\[\]~|]|(?<![^\W_])_|_(?![^\W_]))")
_AT_START = re.compile(r"^([#>+=-])")
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
_LINK = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp)(?=:)|\b(www)(?=\.)")
_MENTION = re.compile(r"(?i)@(?=everyone|here|channel|all\b|room)|(?<=&lt;)@|(?<=<)@|(?<![\w'\"`.-])@(?=\w)")
_ENTITY = re.compile(r"&(?=#?\w+;)")
#: Between two characters that would mean something together: no space, and no place to break a line.
_APART = "\u2060"


def visible(text: str) -> str:
    """For a log, a terminal, a mail: several lines may stay several, but nothing in them commands or hides."""
    shown = _UNSEEN.sub(_number, text.replace("\r\n", "\n"))
    return _ENTRY.sub("| ", shown) if "\n" in shown else shown


def plain(text: str, longest: int = LONGEST) -> str:
    """One line, at most so long."""
    line = visible(_BREAKS.sub(" ", text[: 2 * longest]).strip())
    return line if len(line) <= longest else f"{line[:longest]}…"


def dashed(text: str) -> str:
    """As Prefect lets a page be named: lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def in_markdown(text: str) -> str:
    """One line for a Markdown document, be it a paragraph, an item or a cell: it reads as it is, and means nothing.

    Only what stands in backquotes stays code, in which nothing else means anything.
    """
    line, parts, at = plain(text), [], 0
    for code in _CODE.finditer(line):
        parts += [_escaped(line[at : code.start()]), code[0].replace("|", "\\|")]
        at = code.end()
    parts.append(_escaped(line[at:]))
    # A line that begins with digits is an item of a list when a dot or a parenthesis follows.
    return _NUMBERED.sub(r"\1\\\2", _AT_START.sub(r"\\\1", "".join(parts)))


def in_block(text: str) -> str:
    """Lines of a fenced block, which end in no fence of their own."""
    return visible(text).replace("```", "~~~")


def apart(text: str) -> str:
    """Without links and mentions, for what is no Markdown and yet looked through for them: the title of a mail."""
    return _MENTION.sub(f"@{_APART}", _LINK.sub(lambda m: f"{m[0]}{_APART}", text.replace("<!", f"<{_APART}!")))


def _escaped(text: str) -> str:
    return apart(_MARKUP.sub(r"\\\1", _ENTITY.sub("&amp;", text)).replace("<", "&lt;"))


def _number(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
