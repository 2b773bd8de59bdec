"""Tell people through the services of `notify`, beside the path of a failover.

`tell` puts an event into a queue and returns. A thread writes it to the process that talks to the services
(`worker`), which is started when a manager begins to watch: loading apprise takes a second of a core.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import prefect_mha

from ...config import ClusterConfig
from ..threads import Thread, own
from .debounce import Debouncer
from .text import text_of
from .worker import Notification, SendResult

log = logging.getLogger("mha")

#: Of the manager's environment the sender gets what ways out of the house need, beside what a command gets.
ENVIRONMENT = frozenset(
    "PATH HOME LANG TZ TMPDIR SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE "
    "HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy".split()
)
#: Seconds before a sender that died is started again; what it had not told is given to the next one.
AGAIN = 2.0


def letters(config: ClusterConfig, document: dict[str, Any]) -> list[Notification]:
    """The notifications of an event: one for each URL that is configured for it."""
    event = document["event"]
    urls = config.notify_urls(event)
    if not urls:
        return []
    text = text_of(document, config.notify_templates)
    if text.problem:
        log.warning("%s", text.problem)
    attachment, ending = attached(config, document, text.report)
    key = f"notify_{event}" if getattr(config, f"notify_{event}") else "notify"
    return [
        Notification(
            id=uuid.uuid4().hex,
            cluster=config.name,
            event=event,
            where=f"{url.partition('://')[0].lower()}, URL {number} of {key}",
            url=url,
            title=text.title,
            body=text.body,
            kind=text.kind,
            attachment=attachment,
            ending=ending,
            report=text.report,
            timeout=config.notify_timeout,
            until=datetime.fromisoformat(document["at"]).timestamp() + config.notify_deadline,
        )
        for number, url in enumerate(urls, 1)
    ]


def attached(config: ClusterConfig, document: dict[str, Any], report: str) -> tuple[str, str]:
    """What is attached, and the ending of its name: the page of the incident, or the report where there is none."""
    page = document["facts"].get("page")
    if config.notify_attach == "html" and page:
        try:
            return Path(page).read_text(encoding="utf-8"), ".html"
        except (OSError, ValueError) as error:
            log.warning("The page %s cannot be attached, so the report is: %s", page, error)
    return ("" if config.notify_attach == "none" else report), ".md"


class Wish(Enum):
    """What the courier's thread is asked for beside events."""

    FLUSH = "tell now what is held back because it repeats"
    REVIVE = "the sender has ended"


class Dispatcher:
    """One for a process and all its clusters: the queue, the thread behind it, and the sender."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[ClusterConfig, dict[str, Any]] | Wish] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._sender: subprocess.Popen[bytes] | None = None
        self._owed: dict[str, Notification] = {}
        self._changed = threading.Condition()
        self._unread = 0
        self._quiet = Debouncer()
        self._configs: dict[str, ClusterConfig] = {}
        #: How many letters of a cluster were sent and how many failed.
        self.told: Counter[tuple[str, str]] = Counter()

    def start(self) -> None:
        """Have the sender ready; returns at once."""
        with self._starting:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="notify", daemon=True)
                own(self._thread, "")  # it tells people of every cluster of this process
                self._thread.start()

    def tell(self, config: ClusterConfig, document: dict[str, Any]) -> None:
        """Have an event told to whoever is configured; returns at once."""
        with self._changed:
            self._unread += 1
        self._queue.put((config, document))
        self.start()

    def finish(self, seconds: float) -> bool:
        """Wait at most so long until all is told; whether it is. What is not is tried on by the sender alone."""
        if self._thread is None:
            return True
        with self._changed:
            self._unread += 1
            self._queue.put(Wish.FLUSH)
            done = self._changed.wait_for(lambda: not (self._owed or self._unread), seconds)
            if not done:
                until = max((letter.until for letter in self._owed.values()), default=time.time())
                log.warning(
                    "%d notifications are not sent yet; process %s tries on until %s.",
                    len(self._owed),
                    self._sender.pid if self._sender else "?",
                    datetime.fromtimestamp(until).strftime("%H:%M:%S"),
                )
        return done

    def _run(self) -> None:
        while True:
            try:
                self._revive()
                self._one_round()
            except Exception:
                # Nothing here may end: whoever is to be woken at night depends on it.
                log.exception("Unexpected error while a notification was sent.")
                time.sleep(AGAIN)

    def _one_round(self) -> None:
        due = self._quiet.next_due()
        try:
            item = self._queue.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
        except queue.Empty:
            return self._tell_held(time.monotonic())
        if item is Wish.REVIVE:
            return None
        try:
            if isinstance(item, tuple):
                self._consider(*item)
            else:
                self._tell_held(float("inf"))
        finally:
            with self._changed:
                self._unread -= 1
                self._changed.notify_all()

    def _consider(self, config: ClusterConfig, document: dict[str, Any]) -> None:
        self._configs[config.name] = config
        if self._quiet.admit(document, config.notify_quiet, time.monotonic()):
            self._post(config, document)

    def _tell_held(self, now: float) -> None:
        for document in self._quiet.due(now):
            self._post(self._configs[document["cluster"]], document)

    def _post(self, config: ClusterConfig, document: dict[str, Any]) -> None:
        for letter in letters(config, document):
            with self._changed:
                self._owed[letter.id] = letter
            self._write(letter)

    def _write(self, letter: Notification) -> None:
        if self._sender is None or self._sender.stdin is None:
            return  # the next one gets it
        with contextlib.suppress(OSError):  # it died; the next one gets it
            self._sender.stdin.write((json.dumps(asdict(letter)) + "\n").encode())
            self._sender.stdin.flush()

    def _revive(self) -> None:
        """Start the sender, or the next one when it died, with what is still to be told."""
        if self._sender is not None and self._sender.poll() is None:
            return
        if self._sender is not None:
            log.error("The process that sends notifications ended with %s.", self._sender.returncode)
            time.sleep(AGAIN)
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        house = str(Path(prefect_mha.__file__).absolute().parents[1])
        paths = [house, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        self._sender = subprocess.Popen(
            [sys.executable, "-m", "prefect_mha.replication.notify.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",
            start_new_session=True,
        )
        Thread(target=self._listen, args=(self._sender,), name="notify answers", daemon=True).start()
        with self._changed:
            again = list(self._owed.values())
        for letter in again:
            if time.time() > letter.until:
                self._settle(letter, SendResult(letter.id, "failed", 0, "the processes that were to send it died"))
            else:
                self._write(letter)

    def _listen(self, sender: subprocess.Popen[bytes]) -> None:
        assert sender.stdout is not None
        for line in sender.stdout:
            answer = SendResult(**json.loads(line))
            with self._changed:
                letter = self._owed.get(answer.id)
            if letter is not None:
                self._settle(letter, answer)
        # The end of its output is seen before its own: only one that has ended is replaced.
        sender.wait()
        self._queue.put(Wish.REVIVE)

    def _settle(self, letter: Notification, answer: SendResult) -> None:
        if answer.result == "retrying":
            if answer.tries == 1:
                until = datetime.fromtimestamp(letter.until).strftime("%H:%M:%S")
                log.warning(
                    "%s could not be told of %s yet (until %s): %s", letter.where, letter.event, until, answer.why
                )
            return
        if answer.result == "sent":
            log.info("Told %s of %s (%s).", letter.where, letter.event, letter.cluster)
        else:
            log.error("%s was NOT told of %s: %s", letter.where, letter.event, answer.why)
        self.told[letter.cluster, answer.result] += 1
        with self._changed:
            self._owed.pop(letter.id, None)
            self._changed.notify_all()


_courier: Dispatcher | None = None
_making = threading.Lock()


def courier() -> Dispatcher:
    """This process's courier."""
    global _courier
    with _making:
        _courier = _courier or Dispatcher()
        return _courier


def get_ready(config: ClusterConfig) -> None:
    """Start the sender now, if anybody is to be told of anything; returns at once."""
    if config.notify_secrets():
        courier().start()


def tell(config: ClusterConfig, document: dict[str, Any]) -> None:
    """Have an event told, beside whatever goes on."""
    if config.notify_urls(document["event"]):
        courier().tell(config, document)


def finish(seconds: float) -> bool:
    """Wait at most so long until everything is told; for a process about to end."""
    return _courier.finish(seconds) if _courier is not None else True


def counts() -> Iterator[tuple[str, str, int]]:
    """Cluster, sent or failed, and how many letters so far."""
    for (cluster, result), number in dict(_courier.told if _courier is not None else {}).items():
        yield cluster, result, number
