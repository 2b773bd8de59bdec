"""The process that talks to notification services, so that nothing of it is on the path of a failover.

It reads one JSON object a line from its standard input (a `Notification`) and answers with one line for what became of
it. URLs, which are secrets, come by that way alone: they are in no argument and no environment. When its input ends it
goes on with what it has, each letter at most until its own deadline, also when the process that started it is gone.
Each attempt is a fork of it, which ends in time or is killed; the room's `__init__` says why.

``python -m prefect_mha.replication.notify.worker``; started by `replication.notify.dispatcher`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from ...config.notify import parts_of
from ..threads import Thread

#: Seconds between attempts; the last one repeats until the letter's deadline.
PAUSES = (1.0, 3.0, 10.0, 30.0)
#: How much less than everything else on the host it is worth. At 10 it was half a minute late at load 25 on two cores.
NICE = 5
_FORK, _forking = multiprocessing.get_context("fork"), threading.Lock()


@dataclass(frozen=True)
class Notification:
    """One notification to one service. ``timeout`` is seconds for an attempt, ``until`` seconds since the epoch.

    ``where`` names the service without its secrets: ``json, URL 1 of notify``. ``attachment`` is for who takes files
    (``ending`` is that of its name), ``report`` follows the text for who takes none; both may be empty.
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
    ending: str
    report: str
    timeout: float
    until: float


@dataclass(frozen=True)
class SendResult:
    """What became of a letter: ``sent``, ``retrying`` or ``failed``, after so many tries, and why."""

    id: str
    result: str
    tries: int
    why: str = ""


def longest(timeout: float) -> float:
    """Seconds after which an attempt is killed; ``timeout`` is for each request of it, and a mail takes several."""
    return 3.0 * timeout + 5.0


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
        if letter.report and not service.attachment_support:
            body = f"{body}\n\n{letter.report}"
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
        path = Path(directory) / f"{letter.cluster}-{letter.event}{letter.ending}".replace("/", "-")
        path.write_text(letter.attachment, encoding="utf-8")
        yield path


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """What apprise says of its troubles, for the reason of a failure."""
    words: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                words.append(record.getMessage())

    ear, logger = Ear(), logging.getLogger("apprise")
    logger.addHandler(ear)
    try:
        yield words
    finally:
        logger.removeHandler(ear)


def _without_secrets(url: str, words: list[str]) -> str:
    """One line without any part of the URL that may be a secret."""
    text = "; ".join(" ".join(word.split()) for word in words)
    for part in sorted(parts_of(url), key=len, reverse=True):
        text = text.replace(part, "xxx")
    return text[:500]


def attempt_apart(letter: Notification) -> str:
    """As `attempt`, in a process of its own: what hangs, leaks or crashes in a service's library is gone with it."""
    try:
        with _place() as directory:
            return _from_child(letter, directory)
    except OSError as error:
        return f"no process could be had to send it: {error}"


@contextlib.contextmanager
def _place() -> Iterator[str]:
    """Where an attempt puts its files, removed after it; empty on a full disk, which people are to be told of."""
    try:
        made = tempfile.TemporaryDirectory(prefix="mha-notify-", ignore_cleanup_errors=True)
    except OSError:
        yield ""
        return
    with made:
        yield made.name


def _from_child(letter: Notification, directory: str) -> str:
    limit = longest(letter.timeout)
    with _forking:  # else the child of another thread has this one's end of the pipe, too
        ours, theirs = _FORK.Pipe(duplex=False)
        child = _FORK.Process(target=_attempt_here, args=(letter, theirs, directory), daemon=True)
        with theirs:
            child.start()
    with ours:
        try:
            if ours.poll(limit):
                return str(ours.recv())
            return f"its library had not ended after {limit:.0f} s"
        except (EOFError, OSError):
            child.join()
            return f"its library ended the process that sent it ({child.exitcode})"
        finally:
            child.kill()
            child.join()


def _attempt_here(letter: Notification, answer: Connection, directory: str) -> None:
    tempfile.tempdir = directory or None
    # What a library reads and prints is neither the letters nor our answers; and whose sender is gone ends by itself.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nowhere, stream)
    signal.alarm(int(longest(letter.timeout)) + 1)
    try:
        why = attempt(letter)
    except Exception as error:  # noqa: BLE001 - one of a hundred services may raise anything
        why = f"{type(error).__name__}: {_without_secrets(letter.url, [str(error)])}"
    answer.send(why)


def serve(letters: queue.SimpleQueue[Notification | None]) -> None:
    """Deliver the letters to one service in the order they came, until there is a None; no other one waits for it."""
    while (letter := letters.get()) is not None:
        deliver(letter)


def deliver(letter: Notification) -> None:
    """Try until the service has it, or its deadline is near; each try is answered."""
    tries = 0
    while True:
        tries += 1
        why = attempt_apart(letter)
        if not why:
            return _answer(SendResult(letter.id, "sent", tries))
        pause = PAUSES[min(tries, len(PAUSES)) - 1]
        if time.time() + pause > letter.until:
            return _answer(SendResult(letter.id, "failed", tries, why))
        _answer(SendResult(letter.id, "retrying", tries, why))
        time.sleep(pause)  # nothing tells when a service is back


def _answer(result: SendResult) -> None:
    # One write is one line, whatever other threads write. Nobody reads any more when the manager has ended.
    with contextlib.suppress(OSError):
        os.write(1, (json.dumps(asdict(result)) + "\n").encode())


def main() -> int:
    """Deliver what comes in on standard input; see the module."""
    os.nice(NICE)
    warm_up()
    services: dict[str, queue.SimpleQueue[Notification | None]] = {}
    # A child would close it at once, and it is locked while a line is waited for.
    given, sys.stdin = sys.stdin, None
    for line in given:
        letter = Notification(**json.loads(line))
        if letter.url not in services:
            services[letter.url] = queue.SimpleQueue()
            Thread(target=serve, args=(services[letter.url],)).start()
        services[letter.url].put(letter)
    for letters in services.values():
        letters.put(None)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
