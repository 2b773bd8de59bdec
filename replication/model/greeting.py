"""What a database server says first, and the least that one answers who will not log in."""

from __future__ import annotations

#: Bytes read of a greeting: all of it, for what is left unread resets the connection.
GREETING = 4096
#: A login, of protocol 4.1, of a user that is nobody: lengths, capabilities, the largest packet, character set, name.
LOGIN = b"\x2a\0\0\1" + b"\0\x82\0\0" + b"\0\0\0\1" + b"\x21" + bytes(23) + b"mha-look\0" + b"\0"


def awaits_login(greeting: bytes) -> bool:
    """Whether it is that of a server that waits for a login now: not an error, and not sshd's."""
    return greeting[4:5] == b"\x0a"
