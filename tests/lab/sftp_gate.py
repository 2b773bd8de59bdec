"""A host whose SFTP takes as long as the test wants: sshd starts a program that waits before each request."""

from __future__ import annotations

from tests.lab.host import Host
from tests.lab.waiting import until

SERVER = "/usr/lib/openssh/sftp-server"


class SftpGate:
    """From now on whoever reads files of this host over SFTP is served slowly, until the gate is opened.

    A host that is silent for long is given up: it answers each request after three seconds.
    """

    def __init__(self, host: Host) -> None:
        self._host, self._there = host, host.upper / "sftp-there"
        # The greeting has nine bytes, and is answered: what comes after it waits.
        turn = "for n in 1 2 3 4 5 6 7 8 9 10; do [ -e /sftp-go ] || sleep 0.3; done; dd bs=64k count=1 2>/dev/null"
        wait = f"head -c 9; touch /sftp-there; while [ ! -e /sftp-go ]; do {turn}; done; exec cat"
        gate = f"#!/bin/sh\n({wait}) | {SERVER}.served\n"
        host.run(f"mv {SERVER} {SERVER}.served && printf %s '{gate}' >{SERVER} && chmod 755 {SERVER}")
        # Those that serve already are ended: a session that keeps one opens another.
        host.run(
            "for p in /proc/[0-9]*; do case $(readlink $p/exe) in *sftp-server*) kill ${p#/proc/};; esac; done; true"
        )

    def wait(self, seconds: float = 60.0) -> None:
        """Until somebody stands before it."""
        until(self._there.exists, "nobody reads a file", seconds)

    def open(self) -> None:
        """Whoever waits is served, and everybody from now on."""
        self._host.run("touch /sftp-go")
