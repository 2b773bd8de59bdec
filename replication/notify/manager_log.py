"""The manager's log: MHA's line format, to a file, the terminal or both, with every secret replaced.

``Sat Nov 21 02:10:36 2026 - [info] text``; errors name their place: ``[error][failover.py, ln12] text``. Of a
message of several lines (headings, the report) only the first gets the prefix, as MHA's readers
expect. Secrets are taken out of the record itself, so that other handlers (Prefect's, a test's) see none either.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import sys
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote, quote_plus

from ..local.own_files import doubt, make_directory, open_own
from ..model.words import visible

if TYPE_CHECKING:
    from ...config import ClusterConfig

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
SHORTEST_SECRET = 4
_MASK = "xxx"
_FOREIGN = ("paramiko",)

_secrets: set[str] = set()
_longest_first: tuple[str, ...] = ()


def register_secrets(secrets: Iterable[str]) -> None:
    """Have these values replaced by ``xxx`` from now on, also where they were quoted for a shell, SQL, JSON or a URL.

    Values of less than 4 characters are left alone: replacing them would make every log unreadable.
    """
    global _longest_first
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            _secrets.update(_spellings(secret))
    if _secrets:
        _longest_first = tuple(sorted(_secrets, key=lambda s: (-len(s), s)))
        logging.setLogRecordFactory(RedactedRecord)


def redact(text: str) -> str:
    """The text without any registered secret."""
    # A hundred clusters have thousands of spellings, and hardly a line has any: a pattern of all of them takes longer.
    held = [secret for secret in _longest_first if secret in text]
    return re.sub("|".join(map(_but_for_accounts, held)), _MASK, text) if held else text


def _but_for_accounts(secret: str) -> str:
    """A pattern of a secret. As the name in ``'name'@'host'`` it is an account's, whose password is the same word."""
    word = re.escape(secret)
    return f"(?<!'){word}|{word}(?!'@')"


def secrets_of(config: ClusterConfig) -> list[str]:
    """Every secret of a cluster, for the log's filter."""
    held = [s.password for s in (*config.servers, *config.binlog_servers)]
    held += [
        secret
        for s in (*config.servers, *config.binlog_servers)
        for secret in (s.repl_password, s.probe_password)
        if secret is not None
    ]
    held += [] if config.proxysql_password is None else [config.proxysql_password]
    passwords = [secret.get_secret_value() for secret in held if secret.get_secret_value()]
    return [*passwords, *config.notify_secrets()]


def setup_logging(
    log_file: Path | None, level: str = "info", secrets: Iterable[str] = (), *, speak: bool = False
) -> None:
    """Send the logger ``mha`` (and paramiko's warnings) to ``log_file``, or to the terminal when that is None.

    The terminal gets the lines as well where somebody sits at it, or with ``speak`` wherever standard error goes. The
    file is appended to, made with mode 0640 and its directories with it, and opened again when logrotate has moved
    it. Called again, it replaces what it set up before. Raises OSError when the file cannot be opened, ValueError for
    a level other than debug, info, warning, error.
    """
    if level not in LEVELS:
        raise ValueError(f"log_level {level!r} is none of {', '.join(LEVELS)}")
    register_secrets(secrets)
    handlers: list[logging.Handler] = [open_log(log_file)] if log_file else []
    if log_file is None or speak or sys.stderr.isatty():
        handlers.append(TerminalLog(sys.stderr))
    for handler in handlers:
        handler.setFormatter(ManagerFormatter())
    take_over(LEVELS[level], *handlers)


def open_log(log_file: Path) -> ManagerLogFile:
    """The file of `manager_log`. Raises OSError that names the parameter."""
    try:
        return ManagerLogFile(log_file)
    except OSError as error:
        raise type(error)(error.errno, f"manager_log cannot be written: {error.strerror}", str(log_file)) from None


def on_terminal() -> bool:
    """Whether the terminal gets the log's lines."""
    return any(isinstance(handler, TerminalLog) for handler in logging.getLogger("mha").handlers)


def in_file() -> bool:
    """Whether a file gets the log's lines."""
    return any(isinstance(handler, ManagerLogFile) for handler in logging.getLogger("mha").handlers)


def take_over(level: int, *handlers: logging.Handler) -> None:
    """Make these the handlers of the logger ``mha`` from that level on, and of paramiko's warnings."""
    for handler in handlers:
        handler.set_name("mha-log")
    for name, threshold in (("mha", level), *((name, logging.WARNING) for name in _FOREIGN)):
        logger = logging.getLogger(name)
        for old in [h for h in logger.handlers if h.get_name() == "mha-log"]:
            logger.removeHandler(old)
            with suppress(OSError):  # a full disk, already told
                old.close()
        for handler in handlers:
            logger.addHandler(handler)
        logger.setLevel(threshold)
        logger.propagate = False


class RedactedRecord(logging.LogRecord):
    """A log record whose message and traceback hold no registered secret, whichever handler formats it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info and self.exc_info[0] is not None:
            # Formatters use a traceback that is already there as it is.
            self.exc_text = redact("".join(traceback.format_exception(*self.exc_info)).rstrip("\n"))

    def getMessage(self) -> str:
        """The message with its arguments, without secrets, and without what would command a terminal."""
        return visible(redact(super().getMessage()))


class ManagerFormatter(logging.Formatter):
    """MHA's line, with English names of days and months in every locale."""

    def format(self, record: logging.LogRecord) -> str:
        """One entry; its lines end in newlines, but for the last."""
        level = "error" if record.levelno >= logging.ERROR else record.levelname.lower()
        place = f"[{record.filename}, ln{record.lineno}]" if level == "error" else ""
        text = record.getMessage().rstrip("\n")
        if record.exc_info:
            text += "\n" + (record.exc_text or self.formatException(record.exc_info))
        return f"{time.asctime(time.localtime(record.created))} - [{level}]{place} {visible(redact(text))}"


class _Steady(logging.Handler):
    """A handler whose own trouble is told on the terminal, without secrets, and stops nobody."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Say once what is wrong, and put the lines where a supervisor may still see them."""
        cause = sys.exc_info()[1]
        with suppress(OSError, ValueError):
            if not isinstance(cause, OSError):
                print(redact(f"Log entry {record.msg!r} cannot be written: {cause}"), file=sys.stderr)
                return
            if not self._told:
                self._told = True
                print(f"The log cannot be written: {cause}; its lines come here.", file=sys.stderr)
            print(self.format(record), file=sys.stderr)


class TerminalLog(_Steady, logging.StreamHandler[TextIO]):
    """Writes to standard error."""


class ManagerLogFile(_Steady, WatchedFileHandler):
    """Appends to manager_log; when the disk or the directory fails, its lines go to standard error."""

    def __init__(self, path: Path) -> None:
        make_directory(path.parent)
        super().__init__(path, encoding="utf-8", errors="backslashreplace")

    def _open(self) -> TextIO:  # type: ignore[override]
        # Where nobody else may write, a link, a pipe or a terminal is what an operator wants.
        path, how = Path(self.baseFilename), os.O_WRONLY | os.O_APPEND | os.O_CREAT
        descriptor = open_own(path, how, 0o640) if doubt(path.parent) else os.open(path, how, 0o640)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one entry; a file that cannot be opened again after a rotation raises nothing here either."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)


def _spellings(secret: str) -> set[str]:
    """A secret as it stands, and as the common quotings would write it."""
    spellings = {
        secret,
        secret.strip(),
        shlex.quote(secret),
        shlex.quote(secret)[1:-1] if shlex.quote(secret) != secret else secret,
        re.sub(r"([^A-Za-z0-9_])", r"\\\1", secret),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        secret.replace("'", "''"),
        secret.replace("\\", "\\\\").replace("'", "\\'"),
        quote(secret, safe=""),
        quote_plus(secret),
    }
    return {s for s in spellings if len(s) >= SHORTEST_SECRET}
