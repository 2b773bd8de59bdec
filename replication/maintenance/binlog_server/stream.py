"""One run of mysqlbinlog that reads a server's binary logs from afar, for ever, into a directory.

The password reaches it through an option file that only this user can read. mysqlbinlog ends with the process that
started it, however that one ends (prctl(2), PR_SET_PDEATHSIG), and holds that process's lock file open: as long as it
runs, nobody else can begin to write into the same directory.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from ....config import ServerConfig
from ...errors import (
    AccessDenied,
    CommandFailed,
    MhaError,
    PrivilegeMissing,
    RemoteFileError,
    ServerBusy,
    ServerError,
    ServerUnreachable,
    StatementFailed,
)
from ...model.state import Vendor
from ...mysql.dialects import log_readers, reader_id_option
from ...rescue.apply import client_options

#: Bytes of what mysqlbinlog says that are looked at: the end of it.
_LAST_WORDS = 8192
#: Seconds that it gets to end by itself; what it received is in its files already.
_TO_END = 3.0

#: argv: the starter's pid, the program, its arguments. A starter that died before the call would not be noticed by it.
_LEASH = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "os.getppid() == int(sys.argv[1]) or sys.exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


@dataclass(frozen=True)
class Reader:
    """A mysqlbinlog on this host: its path, the options of its ``--help``, and the directory of its libraries."""

    path: str
    options: frozenset[str]
    libdir: str | None = None


def find_reader(binlog: ServerConfig, vendor: Vendor) -> Reader:
    """The program for a server of this vendor, in ``client_bindir`` or on the path. Raises CommandFailed."""
    names = log_readers(vendor)
    places = ([binlog.client_bindir] if binlog.client_bindir else []) + [None]
    found = next((p for place in places for name in names if (p := shutil.which(name, path=place))), None)
    action = f"look for {' or '.join(names)}"
    if found is None:
        hint = f"install the client programs of that server's version here, or set client_bindir in [{binlog.block}]"
        raise CommandFailed(binlog.hostname, action, "it is not on this host", hint)
    try:
        said = subprocess.run(  # noqa: S603 - words, no shell
            [found, "--no-defaults", "--help"],
            env=_environment(binlog.client_libdir),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=True,
        ).stdout.decode(errors="replace")
    except (subprocess.SubprocessError, OSError) as error:
        words = getattr(error, "stderr", None) or str(error).encode()
        cause = words.decode(errors="replace").strip().splitlines()[-1:] or ["it does not run"]
        raise CommandFailed(
            binlog.hostname, action, f"{found}: {cause[0]}", "set client_libdir if it lacks libraries"
        ) from None
    return Reader(found, frozenset(re.findall(r"--([a-z][a-z-]+)", said)), binlog.client_libdir)


def derived_server_id(seed: str, taken: Container[int] = ()) -> int:
    """A server id for a reader, between 2^30 and 2^31, always the same for one ``seed`` and none of ``taken``.

    A server ends an older reader when a new one comes with the same id, so two must never share one.
    """
    number = zlib.crc32(seed.encode())
    while (found := (1 << 30) + number % (1 << 30)) in taken:
        number += 1
    return found


def reading_account(source: ServerConfig) -> ServerConfig:
    """The server with the account that reads its logs: repl_user if there is one, else the manager's."""
    if not source.repl_user:
        return source
    password = source.repl_password if source.repl_password is not None else source.password
    return source.model_copy(update={"user": source.repl_user, "password": password})


def arguments(
    reader: Reader, options_file: Path, source: ServerConfig, into: Path, start: str, server_id: int
) -> list[str]:
    """The command line; no secret is on it."""
    words = [
        reader.path,
        f"--defaults-file={options_file}",
        "--read-from-remote-server",
        "--raw",
        "--stop-never",
        f"--{reader_id_option(reader.options)}={server_id}",
        f"--result-file={into}/",
    ]
    for name, value in (("ssl-ca", source.ssl_ca), ("ssl-cert", source.ssl_cert), ("ssl-key", source.ssl_key)):
        words += [f"--{name}={value}"] if value else []
    mode = source.tls_mode
    if mode != "preferred" and "ssl-mode" in reader.options:
        words += [f"--ssl-mode={mode.upper()}"]
    elif mode == "verify_identity":
        words += ["--ssl-verify-server-cert"]
    if source.ssl_server_key and "server-public-key-path" in reader.options:
        words += [f"--server-public-key-path={source.ssl_server_key}"]
    if mode == "verify_identity":
        words += [f"--host={source.hostname}"]
    return [*words, start]


class Stream:
    """The running program. It ends with the thread that made this object, which must be the one that waits for it.

    ``private`` is a directory for the option file, which is removed when the program has read it and at the end.
    ``held`` is a descriptor that the program keeps open. Raises OSError.
    """

    def __init__(
        self, reader: Reader, source: ServerConfig, into: Path, start: str, *, server_id: int, private: Path, held: int
    ) -> None:
        self._source = reading_account(source)
        self._host = into.parent
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._options, self._words = private / "client.cnf", private / "mysqlbinlog.err"
        try:
            self._write_options()
            words = arguments(reader, self._options, self._source, into, start, server_id)
            with self._words.open("wb") as said:
                self._process = subprocess.Popen(  # noqa: S603 - words, no shell
                    [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *words],
                    env=_environment(reader.libdir),
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    pass_fds=(held,),
                    start_new_session=True,
                    umask=0o027,
                )
        except BaseException:
            self.forget_password()
            raise

    def _write_options(self) -> None:
        self._options.unlink(missing_ok=True)
        descriptor = os.open(self._options, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_reader_options(self._source))

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """It has ended by itself."""
        return self._process.poll() is not None

    def forget_password(self) -> None:
        """Remove the option file; to be called once the program has begun to write."""
        self._options.unlink(missing_ok=True)

    def stop(self) -> None:
        """End it, within seconds. What it received is in its files. Harmless when it has ended."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_TO_END)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.forget_password()

    def failure(self) -> MhaError:
        """Why it ended, as one sentence."""
        with contextlib.suppress(OSError), self._words.open("rb") as file:
            file.seek(max(0, self._words.stat().st_size - _LAST_WORDS))
            return explain(self._source, self._host, file.read().decode(errors="replace"), self._process.returncode)
        return explain(self._source, self._host, "", self._process.returncode)


_ERRORS: tuple[tuple[str, type[ServerError], int, str], ...] = (
    (
        r"privilege",
        PrivilegeMissing,
        1227,
        "GRANT REPLICATION SLAVE ON *.* to that account (repl_user, or user when that is not set)",
    ),
    (
        r"Access denied for user",
        AccessDenied,
        1045,
        "check repl_user and repl_password in the configuration, and that the account may connect from this host",
    ),
    (r"is not allowed to connect", AccessDenied, 1130, "create the account for this host"),
    (r"is blocked because of many", AccessDenied, 1129, "run FLUSH HOSTS on that server"),
    (r"Too many connections", ServerBusy, 1040, "raise max_connections on that server"),
    (
        r"Could not find first log|purged",
        StatementFailed,
        1236,
        "the log was purged there before it was copied; the copy goes on with the oldest one that is left",
    ),
    (r"Can't connect|Unknown .*host", ServerUnreachable, 2003, "is mysqld running there?"),
    (r"Lost connection|gone away|[Ss]hutdown in progress", ServerUnreachable, 2013, ""),
    (
        r"plugin .* cannot be loaded",
        AccessDenied,
        2059,
        "the client programs here lack what that account logs in with; install those of the server's version",
    ),
)


def explain(source: ServerConfig, directory: Path, said: str, code: int) -> MhaError:
    """What mysqlbinlog said at its end as an error of ours; ``code`` is below 0 when a signal ended it."""
    action = f"read its binary logs as '{source.user}'"
    lines = [line.strip() for line in said.splitlines() if line.strip() and "arning" not in line]
    last = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "")
    last = re.sub(r"^ERROR:?\s*", "", last)
    if code < 0 and not last:
        return CommandFailed("this host", "run mysqlbinlog", f"it was ended by signal {-code}")
    if re.search(r"Could not write|Can't create|Could not create|No space left|Errcode: 28", said):
        free = _free(directory)
        if re.search(r"No space left|Errcode: 28|OS errno 28", said) or (free is not None and free < 1 << 20):
            hint = "free space there, or set binlog_keep_bytes or binlog_keep_days"
            return RemoteFileError("this host", f"write into {directory}", "no space left on the disk", hint)
        return RemoteFileError("this host", f"write into {directory}", last)
    for pattern, kind, number, hint in _ERRORS:
        if re.search(pattern, last):
            return kind(source.name, action, last, number, hint)
    return StatementFailed(source.name, action, last or f"mysqlbinlog ended with exit code {code} and said nothing")


def _reader_options(source: ServerConfig) -> str:
    # The option file of the mysql client, without what mysqlbinlog does not know and would call an error.
    lines = client_options(source).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("loose-connect-timeout"))


def _environment(libdir: str | None) -> dict[str, str]:
    # MYSQL_PWD and its like must not reach it: the option file is what counts.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MYSQL_", "LD_LIBRARY_PATH"))}
    return {**kept, "LC_ALL": "C", **({"LD_LIBRARY_PATH": libdir} if libdir else {})}


def _free(directory: Path) -> int | None:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None
