"""Values in the option files of the servers' client programs."""

from __future__ import annotations


def quoted(value: str) -> str:
    """Escaped as the client's parser unescapes (Reference Manual, Using Option Files)."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'
