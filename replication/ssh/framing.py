"""A remote command's own output, told from what the user's login files print around it.

sshd gives a command to the user's login shell, which may read a .bashrc that prints, or a ForceCommand's wrapper does
(sshd_config(5)). So each command begins and ends both of its outputs with a mark that nobody else knows; what is
outside is noise, and where the first mark is missing the command did not run. When it failed: its last words, and what
an operator is told to do.
"""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass, field

NO_SHELL = "is there a ForceCommand, or a shell that lets nobody in?"
_HINTS = {
    "No space left on device": "free space on that host, or set remote_workdir to a directory that has some",
    "Read-only file system": "set remote_workdir to a directory that can be written",
    "Permission denied": "give the SSH user access to it, or set another remote_workdir or ssh_user",
    "No such file or directory": "make the directory, or correct the path in the configuration",
    "Directory nonexistent": "make the directory, or correct the path in the configuration",
}
_EXIT_HINTS = {
    126: "the program may not be executed by this user",
    127: "install the program on that host, or name its directory in client_bindir",
}
#: Bytes of noise kept, for the sentence that says why a command did not run.
NOISE = 400


@dataclass(frozen=True)
class Frame:
    """The marks of one command."""

    secret: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def begin(self) -> bytes:
        """Before the first byte of an output."""
        return f"mha<{self.secret}\n".encode()

    @property
    def end(self) -> bytes:
        """After its last; then the exit code and a line's end."""
        return f"mha>{self.secret} ".encode()

    def around(self, command: str) -> str:
        """The command in its frame, for any login shell; it ends with the command's exit code.

        The marks do not stand in it as they are printed: a shell that shows what it executes prints it.
        """
        mark = 'm() { printf "mha%s%s$1" "$2" "$s"; }'
        begin = 'm "\\n" "<"; m "\\n" "<" >&2'
        # A command that replaces its shell, or ends it, does so within the parentheses.
        end = 'c=$?; m " $c\\n" ">"; m " $c\\n" ">" >&2; exit $c'
        return f"sh -c 's={self.secret}; {mark}; {begin}; (eval \"$0\"); {end}' {shlex.quote(command)}"


#: Where distributions have the program that speaks SFTP.
SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server "
    "/usr/libexec/ssh/sftp-server /usr/libexec/sftp-server"
)


def sftp_by_shell(frame: Frame) -> str:
    """A command that says the first mark and then speaks SFTP: for a login shell that prints before sftp-server does.

    127 where no such program is found.
    """
    find = f'for p in {SFTP_SERVERS}; do [ -x "$p" ] && exec "$p"; done; exec sftp-server'
    return f'sh -c \'s={frame.secret}; printf "mha%s%s\\n" "<" "$s"; {find}\''


def exit_code(after: bytes | None) -> int | None:
    """What stands behind the last mark; None where that is not there, or not whole."""
    if after is None:
        return None
    line, whole, _ = after.partition(b"\n")
    return int(line) if whole and line.isdigit() else None


def hint_for(said: str, exit_code: int) -> str:
    """What to do about a command's last words and its exit code; empty when nothing is known."""
    return next((hint for words, hint in _HINTS.items() if words in said), _EXIT_HINTS.get(exit_code, ""))


def needs_access(user: str) -> str:
    """What to do about a file that may not be read."""
    return f"give user {user} access to it, for example through the group mysql"


def last_line(*texts: str) -> str:
    """The last line of these texts that is not empty."""
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
