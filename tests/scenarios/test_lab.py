"""The lab itself: a test on it proves nothing unless its servers replicate, die and vanish as real ones do."""

from __future__ import annotations

import threading

import pytest

MODES = [
    pytest.param("mysql56", False, id="5.6-position"),
    pytest.param("mysql56", True, id="5.6-gtid"),
    pytest.param("mysql97", False, id="9.7-position"),
    pytest.param("mysql97", True, id="9.7-gtid"),
    pytest.param("mariadb", False, id="mariadb-position"),
    pytest.param("mariadb", True, id="mariadb-gtid"),
]


def eventually(question: str, holds: threading.Event | None = None, *, seconds: float = 10.0, **kwargs: object) -> None:
    raise NotImplementedError
