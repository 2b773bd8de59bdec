"""Who has an address, sampled all the time: what no client sees, but every neighbour suffers from."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
import time
from dataclasses import dataclass
from types import TracebackType

from tests.lab.cluster import Cluster
from tests.lab.network import inside

EVERY = 0.02
_RTM_GETADDR, _RTM_NEWADDR, _NLMSG_DONE, _NLM_F_DUMP = 22, 20, 3, 0x301
_IFA_ADDRESS, _IFA_LOCAL = 1, 2


@dataclass(frozen=True)
class Sample:
    """At one moment (seconds since the epoch): the numbers of the hosts that had the address."""

    at: float
    holders: tuple[int, ...]


class AddressObserver:
    """Asks the kernel of every host for its addresses every 20 ms, by a netlink socket in its network."""

    def __init__(self, cluster: Cluster, address: str) -> None:
        self._wanted = ipaddress.ip_address(address.partition("/")[0]).packed
        self.samples: list[Sample] = []
        self._sockets: dict[int, socket.socket] = {}
        for host in cluster.hosts:
            with inside(cluster.subnet.host(host.number)):
                self._sockets[host.number] = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            self._sockets[host.number].bind((0, 0))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="address observer", daemon=True)

    def __enter__(self) -> AddressObserver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(5)
        for each in self._sockets.values():
            each.close()

    def moves(self) -> list[tuple[int, ...]]:
        """The holders one after the other, each as long as it lasted."""
        told: list[tuple[int, ...]] = []
        for sample in self.samples:
            if not told or told[-1] != sample.holders:
                told.append(sample.holders)
        return told

    def now(self) -> tuple[int, ...]:
        """Who had it at the last sample."""
        return self.samples[-1].holders if self.samples else ()

    def nowhere(self, since: float = 0.0) -> float:
        """Seconds that no host had it."""
        return len([s for s in self.samples if not s.holders and s.at >= since]) * EVERY

    def slowest(self) -> float:
        """Seconds of the longest pause between two samples: nothing is known about shorter visits."""
        return max(b.at - a.at for a, b in zip(self.samples, self.samples[1:], strict=False))

    def _watch(self) -> None:
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            holders = tuple(number for number, each in self._sockets.items() if self._has(each))
            self.samples.append(Sample(time.time(), holders))
            due += EVERY

    def _has(self, link: socket.socket) -> bool:
        # struct nlmsghdr, struct ifaddrmsg: netlink(7), rtnetlink(7)
        link.send(struct.pack("=IHHIIBBBBi", 24, _RTM_GETADDR, _NLM_F_DUMP, 1, 0, 0, 0, 0, 0, 0))
        found = False
        while True:
            data = link.recv(65536)
            offset = 0
            while offset + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, offset)
                if kind == _NLMSG_DONE:
                    return found
                if kind == _RTM_NEWADDR:
                    found = found or self._wanted in _addresses(data[offset + 24 : offset + length])
                offset += (length + 3) & ~3


def _addresses(attributes: bytes) -> list[bytes]:
    found, offset = [], 0
    while offset + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, offset)
        if kind in (_IFA_ADDRESS, _IFA_LOCAL):
            found.append(attributes[offset + 4 : offset + length])
        offset += (length + 3) & ~3
    return found
