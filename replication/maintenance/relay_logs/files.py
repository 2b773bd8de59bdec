"""The relay logs of one server as files on its host: which there are, and hard links to them.

Deleting a file of a gigabyte takes a file system a while, during which a server that does it stands still. With a
second name for each file the server only takes its own name away, and the room is given back afterwards, outside.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Protocol

from ...errors import CommandFailed
from ...ssh.host import SshHost

#: What a hard link is called: the log's name and this. No server takes it for a log of its own.
SUFFIX = ".purge"

_SIZES = 'while IFS= read -r f; do stat -c "%s %n" -- "$f" || exit 1; done'
_LINK = 'while IFS= read -r f; do ln -f -- "$f" "$1/${f##*/}$2" || exit 1; done'
_LINKS = 'for f in "$1/$2".[0-9]*"$3"; do [ ! -e "$f" ] || printf "%s\\n" "$f"; done'
_DROP = 'for f in "$1/$2".[0-9]*"$3"; do rm -f -- "$f" || exit 1; done'


class Shell(Protocol):
    """Where the files are: runs a command there with this input and returns what it printed. Raises HostError."""

    def __call__(self, command: str, *, action: str, stdin: str = "") -> str: ...


def local_shell(command: str, *, action: str, stdin: str = "") -> str:
    """A shell of this host. Raises CommandFailed."""
    try:
        words = ["sh", "-c", command]
        done = subprocess.run(  # noqa: S603 - quoted by the callers
            words, input=stdin, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed("this host", action, f"not done within {SECONDS:g} s") from None
    if done.returncode:
        said = done.stderr.strip() or f"exit {done.returncode}"
        raise CommandFailed(
            "this host", action, said, next((hint for text, hint in _HINTS.items() if text in said), "")
        )
    return done.stdout


def shell_of(host: SshHost) -> Shell:
    """A shell of a host reached over SSH."""

    def run(command: str, *, action: str, stdin: str = "") -> str:
        return host.run(command, action=action, timeout=SECONDS, stdin=stdin.encode()).stdout

    return run


#: Seconds that one of these commands may take; giving back the room of many large files takes longest.
SECONDS = 300.0
_HINTS = {
    "Permission denied": "run it as root, or as the user of the server",
    "Operation not permitted": "run it as root, or as the user of the server",
    "cross-device": "name a directory on the file system of the relay logs with --workdir, or none",
    "No such file": "is this the server's own host?",
}


class RelayFiles:
    """The relay logs of one channel. ``index`` is the server's list of them, relative names there are in ``datadir``.

    ``workdir`` is where links go; it must be on the same file system, so by default it is the logs' own directory.
    """

    def __init__(self, shell: Shell, index: str, datadir: str, workdir: str = "") -> None:
        self._shell, self._index, self._datadir = shell, index, datadir
        self._workdir = workdir or str(PurePosixPath(index).parent)
        self._base = PurePosixPath(index).name.removesuffix(".index")

    def names(self) -> list[str]:
        """The logs that the server has, oldest first, as it names them in its status. Raises HostError."""
        return [PurePosixPath(path).name for path in self._paths()]

    def sizes(self) -> dict[str, int]:
        """Bytes of each log by its name. Raises HostError."""
        printed = self._run(_SIZES, action="look at its relay logs", stdin="".join(f"{p}\n" for p in self._paths()))
        sized = (line.split(" ", 1) for line in printed.splitlines())
        return {PurePosixPath(path).name: int(size) for size, path in sized}

    def link(self, names: Sequence[str]) -> None:
        """Give these logs a second name. Raises HostError."""
        wanted = set(names)
        paths = [path for path in self._paths() if PurePosixPath(path).name in wanted]
        lines = "".join(f"{path}\n" for path in paths)
        self._run(_LINK, self._workdir, SUFFIX, action=f"link its relay logs in {self._workdir}", stdin=lines)

    def linked(self) -> bool:
        """Whether there are such links, as a run that was killed leaves them. Raises HostError."""
        return bool(self._run(_LINKS, self._workdir, self._base, SUFFIX, action="look for links of its relay logs"))

    def drop_links(self) -> None:
        """Take every such link away, and with the last name of a log its room. Raises HostError."""
        self._run(_DROP, self._workdir, self._base, SUFFIX, action="remove links of its purged relay logs")

    def _paths(self) -> list[str]:
        # The server writes its index anew under another name, so for a moment there is none.
        index = shlex.quote(self._index)
        read = f"for i in $(seq 30); do cat -- {index} 2>/dev/null && exit; sleep 0.1; done; cat -- {index}"
        # Who runs the server may put something else in its place, and root would read it.
        odd = f"[ -L {index} ] || {{ [ -e {index} ] && [ ! -f {index} ]; }}"
        command = f"! {{ {odd}; }} || {{ echo 'it is a link or no file, and such are not read' >&2; exit 1; }}; {read}"
        printed = self._shell(command, action=f"read {self._index}")
        return [str(PurePosixPath(self._datadir) / line) for line in printed.splitlines() if line]

    def _run(self, script: str, *words: str, action: str, stdin: str = "") -> str:
        return self._shell(f"LC_ALL=C sh -c {shlex.join([script, 'sh', *words])}", action=action, stdin=stdin)
