"""The process that talks to notification services, so that nothing of it is on the path of a failover.

It reads one JSON object a line from its standard input (a `Notification`) and answers with one line for what became of
it. URLs, which are secrets, come by that way alone: they are in no argument and no environment. When its input ends it
goes on with what it has, each letter at most until its own deadline, also when the process that started it is gone.

``python -m prefect_mha.replication.notify.worker``; started by `replication.notify.dispatcher`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...config.notify import parts_of
from ..threads import Thread

#: Seconds between attempts; the last one repeats until the letter's deadline.
PAUSES = (1.0, 3.0, 10.0, 30.0)
#: How much less than everything else on the host it is worth.
NICE = 10


@dataclass(frozen=True)
class Notification:
    """One notification to one service. ``timeout`` is seconds for an attempt, ``until`` seconds since the epoch.

    ``where`` names the service without its secrets: ``json, URL 1 of notify``.
    """

    id: str
    cluster: str
    event: str
    where: str
    url: str
    title: str
    body: str
    kind: str
    attachment: str
    timeout: float
    until: float


@dataclass(frozen=True)
class SendResult:
    """What became of a letter: ``sent``, ``retrying`` or ``failed``, after so many tries, and why."""

    id: str
    result: str
    tries: int
    why: str = ""


def warm_up() -> None:
    """Load what the first notification is slow for: apprise reads all its services then (about a second)."""
    import apprise

    apprise.Apprise.instantiate("json://127.0.0.1/")


def attempt(letter: Notification) -> str:
    """Tell one service now; empty when it took it, else why not, without secrets."""
    import apprise

    with _heard() as words:
        try:
            service = apprise.Apprise.instantiate(letter.url, suppress_exceptions=False)
        except (TypeError, ValueError) as error:
            service, words[:] = None, [str(error)]
        if not isinstance(service, apprise.NotifyBase):
            return _without_secrets(letter.url, words) or "apprise does not know this URL (see its list of services)"
        service.socket_connect_timeout = service.socket_read_timeout = letter.timeout
        body, attached = letter.body, bool(letter.attachment and service.attachment_support)
        if letter.attachment and not attached:
            body = f"{body}\n\n{letter.attachment}"
        notifier = apprise.Apprise()
        notifier.add(service)
        with _file(letter) if attached else contextlib.nullcontext() as path:
            sent = notifier.notify(
                body=body,
                title=letter.title,
                notify_type=letter.kind,
                body_format=apprise.NotifyFormat.MARKDOWN,
                attach=str(path) if path else None,
            )
    return "" if sent else _without_secrets(letter.url, words) or "the service did not take it"


@contextlib.contextmanager
def _file(letter: Notification) -> Iterator[Path]:
    """The attachment as a file with a name that a person understands."""
    with tempfile.TemporaryDirectory(prefix="mha-notify-") as directory:
        path = Path(directory) / f"{letter.cluster}-{letter.event}.md".replace("/", "-")
        path.write_text(letter.attachment, encoding="utf-8")
        yield path


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """What apprise says of this thread's troubles, for the reason of a failure."""
    words: list[str] = []
    thread = threading.get_ident()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread and record.levelno >= logging.WARNING:
                words.append(record.getMessage())

    ear, logger = Ear(), logging.getLogger("apprise")
    logger.addHandler(ear)
    try:
        yield words
    finally:
        logger.removeHandler(ear)


def _without_secrets(url: str, words: list[str]) -> str:
    text = "; ".join(" ".join(word.split()) for word in words)
    for part in sorted(parts_of(url), key=len, reverse=True):
        text = text.replace(part, "xxx")
    return text[:500]


class Service(Thread):
    """The letters to one service, one after the other in the order they came; another one's trouble is not theirs."""

    def __init__(self, answer: _Answers) -> None:
        super().__init__(daemon=True)
        self._answer = answer
        self.letters: queue.SimpleQueue[Notification] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        while True:
            self._deliver(self.letters.get())

    def _deliver(self, letter: Notification) -> None:
        tries = 0
        while True:
            tries += 1
            try:
                why = attempt(letter)
            except Exception as error:  # noqa: BLE001 - one of a hundred services may raise anything; none may end us
                why = f"{type(error).__name__}: {_without_secrets(letter.url, [str(error)])}"
            if not why:
                return self._answer(SendResult(letter.id, "sent", tries))
            pause = PAUSES[min(tries, len(PAUSES)) - 1]
            if time.time() + pause > letter.until:
                return self._answer(SendResult(letter.id, "failed", tries, why))
            self._answer(SendResult(letter.id, "retrying", tries, why))
            time.sleep(pause)  # nothing tells when a service is back


class _Answers:
    """Writes answers, also from several threads, also to somebody who is gone; knows how many are still owed."""

    def __init__(self) -> None:
        self._lock, self._owed, self._all_told = threading.Lock(), 0, threading.Event()
        self._all_told.set()

    def owe(self) -> None:
        with self._lock:
            self._owed += 1
            self._all_told.clear()

    def __call__(self, answer: SendResult) -> None:
        with self._lock:
            # Nobody reads any more when the manager has ended.
            with contextlib.suppress(OSError):
                os.write(1, (json.dumps(asdict(answer)) + "\n").encode())
            if answer.result != "retrying":
                self._owed -= 1
                if not self._owed:
                    self._all_told.set()

    def wait(self) -> None:
        self._all_told.wait()


def main() -> int:
    """Deliver what comes in on standard input; see the module."""
    os.nice(NICE)
    # What a service's library prints must not come between the answers.
    sys.stdout = sys.stderr
    warm_up()
    answers = _Answers()
    services: dict[str, Service] = {}
    for line in sys.stdin:
        given: dict[str, Any] = json.loads(line)
        letter = Notification(**given)
        answers.owe()
        if letter.url not in services:
            services[letter.url] = Service(answers)
        services[letter.url].letters.put(letter)
    answers.wait()
    # A thread that hangs in a service's library must not hold the process.
    os._exit(0)


if __name__ == "__main__":
    raise SystemExit(main())
