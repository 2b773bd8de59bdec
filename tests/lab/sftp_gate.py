"""A host whose SFTP takes as long as the test wants: sshd starts a program that waits before it serves."""

from __future__ import annotations

from tests.lab.host import Host
from tests.lab.waiting import until

SERVER = "/usr/lib/openssh/sftp-server"


class SftpGate:
    """From now on whoever reads a file of this host over SFTP waits until the gate is opened."""

    def __init__(self, host: Host) -> None:
        self._host, self._there = host, host.upper / "sftp-there"
        # The greeting has nine bytes, and is answered: what comes after it waits.
        wait = "head -c 9; touch /sftp-there; while [ ! -e /sftp-go ]; do sleep 0.05; done; exec cat"
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
