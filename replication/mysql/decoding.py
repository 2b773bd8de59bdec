"""Text as servers send it: a statement in a process list may hold any bytes, and one of them must not cost the answer.

PyMySQL decodes strictly, by the name of a codec. This one is UTF-8 that shows what is none as an escape (``\\x80``).
"""

from __future__ import annotations

import codecs
from typing import Any

CODEC = "mha_utf8"


def _decode(data: Any, errors: str = "strict", /) -> tuple[str, int]:
    return codecs.utf_8_decode(data, "backslashreplace" if errors == "strict" else errors, True)


def _find(name: str) -> codecs.CodecInfo | None:
    return codecs.CodecInfo(codecs.utf_8_encode, _decode, name=CODEC) if name == CODEC else None


codecs.register(_find)
