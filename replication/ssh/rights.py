"""What of ours needs the rights of root on a host, and how a plain SSH user asks for exactly that.

A helper of root's on the host (`host_helper`) does each such step by its own copy of the script, for one instance,
whose places stand in it; sudo lets the SSH user start it with a few fixed words and nothing else. So that user chooses
which step is done, never to whom or what.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...config import ServerConfig

#: The line that a script's output begins with when its user had to do without: this, a name, and why.
_WITHOUT = "rights"


def helper_path(server: ServerConfig) -> str:
    """Where the helper for that server lies on its host."""
    return f"/usr/local/sbin/mha-host-{server.port}"


def as_root(server: ServerConfig, words: str, plain: str, *, with_input: bool = False) -> str:
    """A command for the host: the helper with these words where a plain SSH user may start it, else ``plain``.

    Where there is none, or sudo refuses, that is told in a line before what ``plain`` prints; see `without_rights`.
    ``with_input``: what is sent is for the helper, too; so where one is there, nothing else is tried.
    """
    if _is_root(server):
        return plain
    path = helper_path(server)
    if with_input:
        return f'if [ "$(id -u)" != 0 ] && [ -x {path} ]; then sudo -n {path} {words}; else {plain}; fi'
    asked = f"[ -x {path} ] && {{ sudo -n {path} {words} </dev/null && exit; no=refused; }}"
    return f'[ "$(id -u)" = 0 ] || {{ no=none; {asked}; echo "{_WITHOUT} $(id -un) $no"; }}; {plain}'


def _is_root(server: ServerConfig) -> bool:
    """Whether the configuration says so; else ssh_config may name another user (`ssh_login.resolve_login`)."""
    if server.ssh_options.user:
        return server.ssh_options.user == "root"
    return server.ssh_user == "root" and "ssh_user" in server.model_fields_set


def without_rights(server: ServerConfig, lines: Iterable[str]) -> str:
    """What a script's user lacked, in a sentence with what to do; empty where he was root, or had the helper."""
    for line in lines:
        key, _, rest = line.partition(" ")
        if key == _WITHOUT and rest:
            user, _, why = rest.partition(" ")
            return lacking(server, user, refused=why == "refused")
    return ""


def lacking(server: ServerConfig, user: str, *, refused: bool) -> str:
    """What is missing on the host for that user, and the command that writes it."""
    path = helper_path(server)
    what = f"sudo does not let {user} start {path}" if refused else f"{user} is not root, and {path} is not there"
    return f"{what}; `mha config sudoers` writes it and the lines '{user} ALL=(root) NOPASSWD: {path} …'"
