"""What the lab's weather does to a frame: by its sender, its receiver and its ports."""

from __future__ import annotations

import random
import socket
import struct

import pytest

from tests.lab.weather import Judge, Rule, both_ways, ends_of, fate


def frame(sender: str, receiver: str, ports: tuple[int, int] = (40000, 3306)) -> bytes:
    """An Ethernet frame with the beginning of a TCP segment."""
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, socket.inet_aton(sender), socket.inet_aton(receiver))
    return b"\1" * 6 + b"\2" * 6 + b"\x08\x00" + ip + struct.pack("!HH", *ports) + bytes(16)


def arp(sender: str, receiver: str) -> bytes:
    head = b"\xff" * 6 + b"\2" * 6 + b"\x08\x06" + bytes(8) + b"\2" * 6
    return head + socket.inet_aton(sender) + bytes(6) + socket.inet_aton(receiver)


def fate_of(rules: tuple[Rule, ...], each: bytes) -> float | None:
    return fate([Judge.of(rule) for rule in rules], each, random.Random(1))


ONE, TWO = "10.0.0.1", "10.0.0.2"


@pytest.mark.parametrize(
    ("rules", "each", "held"),
    [
        ((), frame(ONE, TWO), 0.0),
        (both_ways(ONE, delay=0.6), frame(ONE, TWO), 0.6),
        (both_ways(ONE, delay=0.6), frame(TWO, ONE), 0.6),
        (both_ways(ONE, delay=0.6), arp(TWO, ONE), 0.6),
        (both_ways(ONE, delay=0.6), frame(TWO, "10.0.0.3"), 0.0),
        ((Rule(a=ONE, b=TWO, loss=1.0),), frame(ONE, TWO), None),
        ((Rule(a=ONE, b=TWO, loss=1.0),), frame(TWO, ONE), 0.0),
        ((Rule(port=22, loss=1.0),), frame(ONE, TWO), 0.0),
        ((Rule(port=22, loss=1.0),), frame(ONE, TWO, (22, 40000)), None),
        ((Rule(port=22, loss=1.0),), arp(ONE, TWO), 0.0),
        ((Rule(delay=0.2), Rule(a=ONE, delay=1.2)), frame(ONE, TWO), 1.2),
    ],
)
def test_whom_a_rule_concerns(rules: tuple[Rule, ...], each: bytes, held: float | None) -> None:
    assert fate_of(rules, each) == held


def test_what_is_neither_ip_nor_arp_passes() -> None:
    assert ends_of(bytes(60)) is None
    assert fate_of((Rule(loss=1.0),), bytes(60)) == 0.0


def test_loss_is_as_frequent_as_it_was_asked_for() -> None:
    judges, dice = [Judge.of(Rule(loss=0.3))], random.Random(7)
    lost = sum(fate(judges, frame(ONE, TWO), dice) is None for _ in range(1000))
    assert 250 < lost < 350
