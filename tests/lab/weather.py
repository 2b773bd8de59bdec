"""Bad weather on a cluster's cables: delay, loss and cuts for each direction, by a relay in user space.

The kernel need not know netem: `Weather` joins each host's TAP with one on the bridge by a process of its own, which
reads every frame and holds back or drops it as rules say. ``python -m tests.lab.weather LINKS RULES`` is that process.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000
#: linux/if_tun.h: TUNSETIFF; a TAP without a header before each frame.
_TUNSETIFF, _TAP = 0x400454CA, 0x0002 | 0x1000
#: Seconds between two looks at the rules.
LOOK = 0.03
#: Frames of one host that are read before another's turn.
BURST = 64


@dataclass(frozen=True)
class Rule:
    """What happens to frames from ``a`` to ``b`` (addresses, empty for any): ``delay`` seconds, ``loss`` of 0 to 1.

    ``port`` is that of either end, 0 for any. Of several delays the longest holds; each loss is tried for itself.
    """

    a: str = ""
    b: str = ""
    port: int = 0
    delay: float = 0.0
    loss: float = 0.0


def both_ways(address: str, *, delay: float = 0.0, loss: float = 0.0, port: int = 0) -> tuple[Rule, Rule]:
    """The same for what a host sends and what is sent to it."""
    return Rule(a=address, delay=delay, loss=loss, port=port), Rule(b=address, delay=delay, loss=loss, port=port)


class Weather:
    """The relay of one subnet: started with the namespaces of its hosts, ended with the cluster."""

    def __init__(self, directory: Path, links: Sequence[tuple[str, str, str]]) -> None:
        """``links`` are host namespace, manager's namespace, and the TAP's name on the bridge, of each host."""
        self._rules = directory / "weather.json"
        self.set()
        described = directory / "weather-links.json"
        described.write_text(json.dumps(links))
        with (directory / "weather.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.lab.weather", str(described), str(self._rules)],
                cwd=Path(__file__).resolve().parents[2],
                stdin=subprocess.PIPE,  # its end tells the relay that whoever made it is gone
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        if self._process.stdout.readline().strip() != b"ready":
            raise RuntimeError(f"the relay did not start:\n{(directory / 'weather.log').read_text()[-2000:]}")

    def set(self, *rules: Rule) -> None:
        """These rules hold from now on, and no others; none: fair weather."""
        fresh = self._rules.with_suffix(".new")
        fresh.write_text(json.dumps([asdict(rule) for rule in rules]))
        fresh.replace(self._rules)

    @contextlib.contextmanager
    def during(self, *rules: Rule) -> Iterator[None]:
        """The same, fair again at the end."""
        self.set(*rules)
        try:
            yield
        finally:
            self.set()

    def end(self) -> None:
        """The cables are gone."""
        self._process.kill()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


# the relay's own process ---------------------------------------------------------------------------------------------


def ends_of(frame: bytes) -> tuple[bytes, bytes, tuple[int, ...]] | None:
    """Sender's and receiver's IPv4 address, packed, and the ports; None for what is neither IPv4 nor ARP."""
    kind = frame[12:14]
    if kind == b"\x08\x06":
        return frame[28:32], frame[38:42], ()
    if kind != b"\x08\x00":
        return None
    start = 14 + (frame[14] & 15) * 4
    ports = struct.unpack_from("!HH", frame, start) if frame[23] in (6, 17) and len(frame) >= start + 4 else ()
    return frame[26:30], frame[30:34], ports


@dataclass(frozen=True)
class Judge:
    """A rule as frames are compared with it: packed addresses."""

    sender: bytes
    receiver: bytes
    rule: Rule

    @classmethod
    def of(cls, rule: Rule) -> Judge:
        """The same rule."""
        return cls(*(socket.inet_aton(each) if each else b"" for each in (rule.a, rule.b)), rule)

    def concerns(self, sender: bytes, receiver: bytes, ports: tuple[int, ...]) -> bool:
        """Whether a frame with these ends is meant."""
        return (
            self.sender in (b"", sender)
            and self.receiver in (b"", receiver)
            and (not self.rule.port or self.rule.port in ports)
        )


def fate(judges: Sequence[Judge], frame: bytes, dice: random.Random) -> float | None:
    """Seconds that a frame is held back, None when it is lost."""
    found = ends_of(frame)
    delay = 0.0
    for judge in judges if found is not None else ():
        if not judge.concerns(*found):  # type: ignore[misc]  # not None here
            continue
        if judge.rule.loss and dice.random() < judge.rule.loss:
            return None
        delay = max(delay, judge.rule.delay)
    return delay


def _tap(libc: ctypes.CDLL, home: int, namespace: str, name: str) -> int:
    away = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(away, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP))
        return tap
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(away)


def relay(links: Path, rules_file: Path) -> None:
    """Pass frames on until whoever started it is gone.

    A frame between two hosts crosses two cables, and is judged on its sender's.
    """
    libc = ctypes.CDLL("libc.so.6", use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    other: dict[int, int] = {}
    hosts: set[int] = set()
    poll = select.epoll()
    own: set[bytes] = set()
    for namespace, manager, name in json.loads(links.read_text()):
        here, there = _tap(libc, home, namespace, "eth0"), _tap(libc, home, manager, name)
        other[here], other[there] = there, here
        hosts.add(here)
        for each in (here, there):
            poll.register(each, select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    print("ready", flush=True)
    dice = random.Random()
    judges: list[Judge] = []
    seen, look_due, number = -1, 0.0, 0
    held: list[tuple[float, int, int, bytes]] = []
    while True:
        now = time.monotonic()
        if now >= look_due:
            look_due, changed = now + LOOK, rules_file.stat().st_mtime_ns
            if changed != seen:
                seen, judges = changed, [Judge.of(Rule(**each)) for each in json.loads(rules_file.read_text())]
        while held and held[0][0] <= now:
            _, _, end, frame = heapq.heappop(held)
            _pass(end, frame)
        for tap, _ in poll.poll(max(0.0, min(LOOK, held[0][0] - now)) if held else LOOK):
            if tap == sys.stdin.fileno():
                return
            for frame in _frames(tap):
                if tap in hosts:
                    own.add(bytes(frame[6:12]))
                # What comes from the bridge and was sent by another host was judged on that host's cable.
                judged = bool(judges) and (tap in hosts or bytes(frame[6:12]) not in own)
                delay = fate(judges, frame, dice) if judged else 0.0
                if delay is None:
                    continue
                if delay:
                    number += 1
                    heapq.heappush(held, (time.monotonic() + delay, number, other[tap], frame))
                else:
                    _pass(other[tap], frame)


def _frames(tap: int) -> Iterator[bytes]:
    for _ in range(BURST):
        try:
            yield os.read(tap, 65535)
        except OSError:  # nothing more, or the cable is out
            return


def _pass(tap: int, frame: bytes) -> None:
    with contextlib.suppress(OSError):  # as on a cable, what finds no room is lost
        os.write(tap, frame)


if __name__ == "__main__":
    relay(Path(sys.argv[1]), Path(sys.argv[2]))
