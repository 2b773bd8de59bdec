"""Users' scripts, called exactly as MHA calls them, but with a deadline.

Arguments, their order and when each appears are those of MHA 0.58 (its wiki, "Parameters"). Exit code 0 is success;
10 means "not done, but go on" for `master_ip_failover_script`, and "mysqld was killed, SSH still works" for
`shutdown_script`; the caller judges. The script's string is the user's, options and all, and runs through /bin/sh.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from ..errors import HookError
from ..threads import Thread
from .own_commands import path_with_them

if TYPE_CHECKING:
    from ...config import ServerConfig

logger = logging.getLogger("mha.hooks")

#: Seconds between SIGTERM and SIGKILL for a script that outlived its deadline.
GRACE = 2.0
#: Seconds of silence after a script's end, when a child in the background still holds its output open.
QUIET = 0.5
#: Lines logged of one script, and as many kept for the result from its end; characters of one line.
LINES = 1000
LINE_LENGTH = 4000
SSH_PORT = 22
PASSWORD_VARIABLE = "MHA_NEW_MASTER_PASSWORD"  # noqa: S105 - a name, no password
OLD_PASSWORD_VARIABLE = "MHA_ORIG_MASTER_PASSWORD"  # noqa: S105 - a name, no password

#: First words that are the shell's own.
_SHELL_WORDS = frozenset("cd exec if for while case until test [ . source true false export set umask eval".split())

FailoverCommand = Literal["status", "stop", "stopssh", "start"]
OnlineChangeCommand = Literal["stop", "start"]
ShutdownCommand = Literal["status", "stop", "stopssh"]


@dataclass(frozen=True)
class HookResult:
    """How a script ended: ``output`` is its last 1000 lines without secrets, ``seconds`` its duration.

    A script ended by signal N has exit code 128+N, as in a shell.
    """

    script: str
    command: str
    exit_code: int
    output: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    @property
    def go_on(self) -> bool:
        return self.exit_code == 10


def failover_args(
    command: FailoverCommand, old: ServerConfig, new: ServerConfig | None = None, *, pass_password: bool = True
) -> list[str]:
    """Arguments of `master_ip_failover_script`; ``new`` is needed for ``start``.

    Without ``pass_password`` the password argument stays empty, and `password_environment` carries it.
    """
    orig = _master_args("orig", old)
    if command == "status":
        return ["--command=status", f"--ssh_user={old.ssh_user}", *orig, *_ssh_args("orig_master_", old)]
    if command == "start":
        if new is None:
            raise ValueError("the command start is about a new primary")
        password = new.password.get_secret_value() if pass_password else ""
        return [
            "--command=start",
            f"--ssh_user={new.ssh_user}",
            *orig,
            *_master_args("new", new),
            f"--new_master_user={new.user}",
            f"--new_master_password={password}",
            *_ssh_args("orig_master_", old, options=False),
            *_ssh_args("new_master_", new),
        ]
    user = [f"--ssh_user={old.ssh_user}"] if command == "stopssh" else []
    return [*orig, f"--command={command}", *user, *_ssh_args("orig_master_", old)]


def password_environment(new: ServerConfig, old: ServerConfig | None = None) -> dict[str, str]:
    """The environment that hands passwords to a script without showing them in the process list.

    That of the new primary, and with ``old`` that of the old one too, as `master_ip_online_change_script` gets both.
    """
    both = {OLD_PASSWORD_VARIABLE: old.password.get_secret_value()} if old is not None else {}
    return {PASSWORD_VARIABLE: new.password.get_secret_value(), **both}


def online_change_args(
    command: OnlineChangeCommand,
    old: ServerConfig,
    new: ServerConfig,
    *,
    old_is_new_replica: bool = False,
    pass_password: bool = True,
) -> list[str]:
    """Arguments of `master_ip_online_change_script`; both servers are named for both commands.

    ``--ssh_user`` is of the server that the command is about, as the failover's script gets it: many sites use one
    script for both, though MHA's switch named no such argument.
    Without ``pass_password`` the password arguments stay empty, and `password_environment` carries them.
    """
    passwords = [server.password.get_secret_value() if pass_password else "" for server in (old, new)]
    return [
        f"--command={command}",
        f"--ssh_user={(old if command == 'stop' else new).ssh_user}",
        *_master_args("orig", old),
        f"--orig_master_user={old.user}",
        *_master_args("new", new),
        f"--new_master_user={new.user}",
        f"--orig_master_ssh_user={old.ssh_user}",
        f"--new_master_ssh_user={new.ssh_user}",
        *_ssh_args("orig_master_", old, options=False),
        *_ssh_args("new_master_", new),
        *(["--orig_master_is_new_slave"] if old_is_new_replica else []),
        f"--orig_master_password={passwords[0]}",
        f"--new_master_password={passwords[1]}",
    ]


def shutdown_args(command: ShutdownCommand, server: ServerConfig) -> list[str]:
    """Arguments of `shutdown_script`."""
    user = [f"--ssh_user={server.ssh_user}"] if command != "stop" else []
    host = [f"--host={server.hostname}", f"--ip={server.ip}"]
    if command != "status":
        host.append(f"--port={server.port}")
        if server.master_pid_file:
            host.append(f"--pid_file={server.master_pid_file}")
    return [f"--command={command}", *user, *host, *_ssh_args("", server)]


def report_args(
    old: ServerConfig,
    new: ServerConfig | None,
    new_slaves: Sequence[str],
    conf: Path | str,
    subject: str,
    body: str,
) -> list[str]:
    """Arguments of `report_script`; those about the new primary only when one was activated."""
    fresh = [f"--new_master_host={new.hostname}", f"--new_slave_hosts={','.join(new_slaves)}"] if new else []
    return [f"--orig_master_host={old.hostname}", *fresh, f"--conf={conf}", f"--subject={subject}", f"--body={body}"]


def _master_args(which: str, server: ServerConfig) -> list[str]:
    values = (("host", server.hostname), ("ip", server.ip), ("port", server.port))
    return [f"--{which}_master_{key}={value}" for key, value in values]


def _ssh_args(prefix: str, server: ServerConfig, *, options: bool = True) -> list[str]:
    """What differs from the defaults, and only that: a hook with a strict parser knows no more than it needs."""
    found = []
    if server.ssh_host != server.hostname:
        found += [f"--{prefix}ssh_host={server.ssh_host}", f"--{prefix}ssh_ip={server.ssh_ip}"]
    if server.ssh_port != SSH_PORT:
        found.append(f"--{prefix}ssh_port={server.ssh_port}")
    if options and server.ssh_options.raw:
        found.append(f"--ssh_options={server.ssh_options.raw}")
    return found


def run_hook(
    script: str,
    args: Sequence[str],
    *,
    command: str,
    timeout: float,
    secrets: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    alone: bool = False,
    stdin: bytes | None = None,
) -> HookResult:
    """Run ``script`` with ``args`` and wait for its end, ``timeout`` seconds at most.

    Its output goes line by line to the log ``mha.hooks`` and into the result, with ``secrets`` as ``xxx``. A child that
    it leaves in the background is neither waited for nor stopped. ``command`` says in messages what it was called for.
    It gets ``env`` over this process's environment, or ``alone``, and ``stdin``, which it need not read. Our own
    commands are on its PATH.
    Raises HookError when it cannot be started (also the shell's 126 and 127) or had to be stopped at the deadline.
    """
    veil = _SecretMasker(secrets)
    shown, action = veil(script), command if alone else f"--command={command}"
    began = time.monotonic()
    try:
        # "$@" hands each argument over as it is, so that nothing in a password or a subject needs quoting.
        process = subprocess.Popen(  # noqa: S603 - the operator wrote this line for a shell
            ["/bin/sh", "-c", f'{script} "$@"', "sh", *args],
            stdin=_to_read(stdin),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=with_own_commands({**({} if alone else os.environ), **(env or {})}),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        cause = "its arguments are too long" if getattr(error, "errno", 0) == errno.E2BIG else "it cannot be started"
        raise HookError(shown, action, f"{cause}: {veil(str(error))}", 126) from None
    output = _Output(process.stdout, veil)
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        _stop(process)
        raise HookError(shown, action, f"still running after {timeout:g} s, stopped", None) from None
    except BaseException:
        _stop(process)
        raise
    output.finish(began + timeout)
    if code in (126, 127):
        raise HookError(shown, action, f"exit code {code}: {_why_not_started(script, code)}", code)
    return HookResult(shown, command, code if code >= 0 else 128 - code, output.lines(), time.monotonic() - began)


def with_own_commands(env: dict[str, str]) -> dict[str, str]:
    """The environment, with our own commands on its PATH."""
    return {**env, "PATH": path_with_them(env.get("PATH", os.defpath))}


def _to_read(data: bytes | None) -> IO[bytes] | int:
    """A file without a name, not a pipe: a script that reads nothing must neither block nor fail whoever wrote it."""
    if data is None:
        return subprocess.DEVNULL
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when nobody refers to it any more
    file.write(data)
    file.seek(0)
    return file


class _SecretMasker:
    """Replaces secrets in a text, also as shells print them with ``set -x`` and ``printf %q``."""

    def __init__(self, secrets: Sequence[str]) -> None:
        forms = {form for secret in secrets if secret for form in _shell_forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, "xxx")
        return text


def _shell_forms(secret: str) -> tuple[str, ...]:
    escaped = re.sub(r"([^\w@%+=:,./-])", r"\\\1", secret)
    return secret, secret.replace("'", "'\\''"), secret.replace("'", "'\"'\"'"), escaped


class _Output(Thread):
    """Logs and keeps what a script prints, for as long as anybody holds its output open."""

    def __init__(self, stream: IO[bytes] | None, veil: _SecretMasker) -> None:
        super().__init__(name="hook output", daemon=True)
        self._stream, self._veil = stream, veil
        self._kept: deque[str] = deque(maxlen=LINES)
        self._count = 0
        self.start()

    def run(self) -> None:
        if self._stream is None:
            return
        with self._stream:
            # A line is cut only far behind the part that is shown: a secret cut in two would not be recognised.
            while raw := self._stream.readline(LINE_LENGTH * 16):
                text = self._veil(raw.decode("utf-8", errors="replace").rstrip("\r\n"))
                self._keep(text if len(text) <= LINE_LENGTH else text[:LINE_LENGTH] + "…")
                while raw and not raw.endswith(b"\n"):
                    raw = self._stream.readline(LINE_LENGTH * 16)
        if self._count > LINES:
            logger.info("(%d more lines)", self._count - LINES)

    def _keep(self, line: str) -> None:
        self._kept.append(line)
        self._count += 1
        if self._count <= LINES:
            logger.info("%s", line)

    def finish(self, end: float) -> None:
        """Wait for the end of the output, or until it is silent; ``end`` is a time.monotonic()."""
        while self.is_alive():
            seen = self._count
            self.join(QUIET)
            if seen == self._count or time.monotonic() > end:
                return

    def lines(self) -> tuple[str, ...]:
        return tuple(self._kept.copy())


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
        # The leader ends at SIGTERM; a child of it in the same group may ignore that.


def why_not_runnable(script: str) -> str:
    """Why a configured line cannot be started, as far as that shows without starting it; empty when nothing does.

    Of a line that is more than a program with its arguments only the shell knows.
    """
    try:
        first = shlex.split(script)[0]
    except (ValueError, IndexError):
        return "the shell does not understand the configured line"
    if re.search(r"[=$`(){};&|<>!]", first) or first in _SHELL_WORDS:
        return ""
    path = Path(first)
    if shutil.which(path, path=path_with_them()) is None:
        return _why_not_started(script, 126 if path.exists() else 127)
    return _of_the_interpreter(path)


def _why_not_started(script: str, code: int) -> str:
    """What is wrong with a script that the shell could not run."""
    try:
        path = Path(shlex.split(script)[0])
    except (ValueError, IndexError):
        return "the shell does not understand the configured line"
    if not path.is_absolute():
        return f"{path} was not found in PATH; configure it with its full path" if code == 127 else f"{path} cannot run"
    if not path.exists():
        return f"{path} does not exist"
    if not os.access(path, os.X_OK):
        return f"{path} is not executable (chmod +x {path})"
    wrong = _of_the_interpreter(path)
    return wrong or (
        "a program that it calls was not found" if code == 127 else "a program that it calls may not be executed"
    )


def _of_the_interpreter(path: Path) -> str:
    """What is wrong with a script's first line; empty for nothing, and for a program that is no script."""
    try:
        with Path(shutil.which(path, path=path_with_them()) or path).open("rb") as file:
            first = file.readline(200)
    except OSError:
        return f"{path} cannot be read"
    if first.startswith(b"#!"):
        if first.endswith(b"\r\n"):
            return f"{path} has Windows line ends (CR LF), convert it to Unix ones"
        interpreter = first[2:].split()[:1]
        if interpreter and not Path(os.fsdecode(interpreter[0])).exists():
            return f"{path} wants the interpreter {os.fsdecode(interpreter[0])}, which does not exist"
    return ""
