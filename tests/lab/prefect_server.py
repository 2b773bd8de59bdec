"""A real Prefect server on loopback, and ports that misbehave as a Prefect API can.

Every server has a PREFECT_HOME (and so a database) of its own in a temporary directory, and a process group of
its own, so that it can be frozen, killed and started again without touching any other.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

BUSY_FOR = 30.0  # seconds that a busy server may take to answer
HEALTHY_WITHIN = 150.0  # seconds; a new database takes 15 to 17 s on two cores, a busy machine much longer


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask_api(api_url: str, path: str, body: dict[str, Any] | None = None, *, method: str = "POST") -> Any:
    """The answer to one question to a server's API. One whose database is busy (503) is asked again, as clients do."""
    words = json.dumps(body or {}).encode() if method in ("POST", "PATCH") else None
    request = urllib.request.Request(f"{api_url}{path}", words, {"Content-Type": "application/json"}, method=method)
    ends = time.monotonic() + BUSY_FOR
    while True:
        try:
            with urllib.request.urlopen(request, timeout=BUSY_FOR) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            if error.code != http.client.SERVICE_UNAVAILABLE or time.monotonic() > ends:
                raise
            time.sleep(0.2)


def standing_run(api_url: str, *, other_than: str = "", seconds: float = 90.0) -> dict[str, Any]:
    """The run of a failover that stands ready, as soon as a task was run in it; it can be acted in from then on."""
    ready = {"tags": {"all_": ["standing-by"]}, "state": {"type": {"any_": ["RUNNING"]}}}
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for run in ask_api(api_url, "/flow_runs/filter", {"flow_runs": ready}):
            of_run = {"flow_runs": {"id": {"any_": [run["id"]]}}}
            if run["id"] != other_than and ask_api(api_url, "/task_runs/filter", of_run):
                return dict(run)
        time.sleep(0.2)  # the API has no way to wait for this
    raise RuntimeError("no run stands ready")


class PrefectServer:
    """``prefect server start`` on loopback, as a context manager: healthy on entry, gone on exit.

    ``home`` is kept over :meth:`kill` and :meth:`start`, so that the same database comes back; it is SQLite's, unless
    ``environment`` names another. ``host`` is the address to listen on, for workers of other hosts.
    """

    def __init__(
        self, port: int | None = None, *, host: str = "127.0.0.1", environment: Mapping[str, str] | None = None
    ) -> None:
        self.port, self.host = port or free_port(), host
        self._environment = dict(environment or {})
        self.home = Path(tempfile.mkdtemp(prefix="prefect-home-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def api_url(self) -> str:
        return f"http://{self.host}:{self.port}/api"

    @property
    def log(self) -> str:
        """What the server printed so far."""
        path = self.home / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def client_environment(self) -> dict[str, str]:
        """The environment of a process that uses this server, and nothing of the user's own profile."""
        return {**_without_prefect(), "PREFECT_API_URL": self.api_url, "PREFECT_HOME": str(self.home / "client")}

    def start(self, deadline: float = HEALTHY_WITHIN) -> None:
        """Start the server and wait until it is healthy; RuntimeError with its log when it is not in time."""
        environment = _without_prefect() | {
            "PREFECT_HOME": str(self.home),
            "PREFECT_PROFILES_PATH": str(self.home / "profiles.toml"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_API_URL": self.api_url,
            "DO_NOT_TRACK": "1",
            **self._environment,
        }
        command = [sys.executable, "-m", "prefect", "server", "start"]
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--host", self.host, "--port", str(self.port)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_healthy(deadline)

    def wait_healthy(self, deadline: float = HEALTHY_WITHIN) -> None:
        """Wait until ``/api/health`` answers; RuntimeError when the process ended or the deadline passed."""
        ends = time.monotonic() + deadline
        while not self.healthy():
            if self._process is None or self._process.poll() is not None or time.monotonic() > ends:
                log = self.log[-2000:]
                self.kill()
                raise RuntimeError(f"the Prefect server on port {self.port} did not get healthy:\n{log}")
            time.sleep(0.2)  # health is only to be had by asking

    def healthy(self) -> bool:
        """Whether the API answers now (within a second)."""
        try:
            with urllib.request.urlopen(f"{self.api_url}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def freeze(self) -> None:
        """SIGSTOP: the port still accepts, nobody answers."""
        self._signal(signal.SIGSTOP)

    def kill(self) -> None:
        """SIGKILL to the server's whole process group, and wait until it is gone."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait(timeout=10)
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def __enter__(self) -> PrefectServer:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


def _without_prefect() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}


@contextlib.contextmanager
def refused_port() -> Iterator[int]:
    """A port that refuses every connection for as long as the context lasts: bound, but not listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


@contextlib.contextmanager
def hanging_port() -> Iterator[int]:
    """A port that accepts (the kernel does) and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        yield int(listener.getsockname()[1])


@contextlib.contextmanager
def slow_port(target: int, delay: float) -> Iterator[int]:
    """A forwarder to 127.0.0.1:``target`` that holds every piece of an answer back for ``delay`` seconds."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        stop = threading.Event()
        acceptor = threading.Thread(target=_forward_all, args=(listener, target, delay, stop), daemon=True)
        acceptor.start()
        stack.callback(acceptor.join, 2)
        stack.callback(stop.set)
        yield int(listener.getsockname()[1])


def _forward_all(listener: socket.socket, target: int, delay: float, stop: threading.Event) -> None:
    listener.settimeout(0.2)
    while not stop.is_set():
        try:
            client, _ = listener.accept()
        except TimeoutError:
            continue
        except OSError:
            return
        threading.Thread(target=_forward, args=(client, target, delay, stop), daemon=True).start()


def _forward(client: socket.socket, target: int, delay: float, stop: threading.Event) -> None:
    with client, socket.create_connection(("127.0.0.1", target)) as server, selectors.DefaultSelector() as both:
        both.register(client, selectors.EVENT_READ, (server, 0.0))
        both.register(server, selectors.EVENT_READ, (client, delay))
        while not stop.is_set():
            for key, _ in both.select(0.2):
                receiver, wait = key.data
                try:
                    piece = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not piece or stop.wait(wait):
                        return
                    receiver.sendall(piece)
                except OSError:
                    return
