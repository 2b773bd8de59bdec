"""What passes is counted, held back where it is too fast, and told."""

from __future__ import annotations

import io
import time

from prefect_mha.replication.meter import Meter, Metered, Progress


def test_the_stream_is_what_it_was_between_what_is_put_around_it() -> None:
    meter = Meter("copy", 10, 0, lambda _: None)
    stream = Metered(b"head", io.BytesIO(b"0123456789"), meter, b"tail")
    assert b"".join(iter(lambda: stream.read(3), b"")) == b"head0123456789tail"
    assert meter.done == 10


def test_it_is_not_faster_than_allowed() -> None:
    meter, began = Meter("copy", 3000, 10_000, lambda _: None), time.monotonic()
    for _ in range(3):
        meter.add(1000)
    assert time.monotonic() - began >= 0.3


def test_the_last_word_is_a_hundred_percent_whatever_was_estimated() -> None:
    told: list[Progress] = []
    meter = Meter("copy", 100, 0, told.append)
    meter.add(250)
    meter.finish()
    assert told[-1].percent == 100.0
    assert str(told[-1]).startswith("copy: 100%, 250 bytes of 250 bytes")


def test_before_that_it_is_never_a_hundred() -> None:
    assert Progress("copy", 300, 200, 10.0).percent == 99.0
    assert Progress("copy", 50, 200, 10.0).left == 15.0
    assert Progress("copy", 0, 0, 0.0).left is None
