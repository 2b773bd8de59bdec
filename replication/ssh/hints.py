"""What an operator is told when something fails on a host: the last words there, and what to do."""

from __future__ import annotations

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
