"""A real PostgreSQL on loopback, for a Prefect server that keeps its records there: Debian's package."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tests.lab.prefect_server import free_port
from tests.lab.preflight import install

#: Who owns the data; PostgreSQL does not run as root. Debian's package makes the account.
ACCOUNT = "postgres"
NAME = "prefect"
STARTED_WITHIN = 60.0  # seconds


class PostgreSQL:
    """A server with an empty database ``prefect``, as a context manager. It lives in the network of this thread.

    Its password is in ``passfile`` alone, as an operator keeps it from environment and process list.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="mha-postgres-"))
        self.passfile = self.directory / "pgpass"
        self._programs = programs()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a Prefect server needs to know."""
        url = f"postgresql+asyncpg://{NAME}@127.0.0.1:{self.port}/{NAME}"
        return {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url, "PGPASSFILE": str(self.passfile)}

    def sql(self, statement: str) -> list[str]:
        """The rows of an answer, each as psql prints it without decoration."""
        return self._client("psql", "--no-psqlrc", "-tAc", statement, NAME).splitlines()

    def dump(self) -> bytes:
        """Everything in the database, as text."""
        return self._client("pg_dump", NAME).encode()

    def __enter__(self) -> PostgreSQL:
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # its immediate shutdown; its data is thrown away
            self._process.wait(20)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        password, data = secrets.token_hex(16), self.directory / "data"
        self.passfile.write_text(f"*:*:*:{NAME}:{password}\n")
        self.passfile.chmod(0o600)
        given = self.directory / "password"
        given.write_text(password)
        for path in (self.directory, given):
            shutil.chown(path, ACCOUNT, ACCOUNT)
        words = ["-D", str(data), "-U", NAME, f"--pwfile={given}", "--auth=scram-sha-256", "-E", "UTF8", "--no-sync"]
        made = subprocess.run(
            [self._programs / "initdb", *words],
            user=ACCOUNT,
            group=ACCOUNT,
            extra_groups=[],
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stdout[-1000:]}{made.stderr[-1000:]}")
        given.unlink()
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", str(data), *options],
                user=ACCOUNT,
                group=ACCOUNT,
                extra_groups=[],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        ends, ready = time.monotonic() + STARTED_WITHIN, [self._programs / "pg_isready", *self._place()]
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self.directory / 'log').read_text()[-2000:]}")
            time.sleep(0.1)  # readiness is only to be had by asking
        self._client("createdb", NAME)

    def _place(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port)]

    def _client(self, name: str, *words: str) -> str:
        done = subprocess.run(
            [self._programs / name, *self._place(), "-U", NAME, "-w", *words],
            env={**os.environ, "PGPASSFILE": str(self.passfile)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr.strip()}")
        return done.stdout


def programs() -> Path:
    """The directory of the newest PostgreSQL's programs; Debian's package is installed when there is none."""
    if not _found():
        # Else the package starts a server of its own, which nobody asked for.
        install(["postgresql-common"])
        own = Path("/etc/postgresql-common/createcluster.conf")
        own.write_text(re.sub(r"(?m)^#?create_main_cluster\b.*$", "create_main_cluster = false", own.read_text()))
        install(["postgresql"])
    return _found()[-1]


def _found() -> list[Path]:
    return sorted(
        (path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")), key=lambda p: float(p.parent.name)
    )
