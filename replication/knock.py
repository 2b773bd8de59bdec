"""Knock at a port: what a TCP connection and the first bytes tell, without a login and without a session."""

from __future__ import annotations

import socket
import time

from replication.evidence import Finding


def knock(address: str, port: int, timeout: float) -> tuple[Finding, str]:
    """Whether somebody greets there within ``timeout`` seconds, and the error in words.

    ANSWERED: it greeted, as mysqld and sshd do first. REFUSED: the host lives, nobody listens. SILENT: the kernel took
    the connection, or gave it up again, and no greeting came. UNANSWERED: nothing came back at all.
    """
    ends = time.monotonic() + timeout
    try:
        connection = socket.create_connection((address, port), timeout=timeout)
    except ConnectionRefusedError:
        return Finding.REFUSED, "connection refused"
    except OSError as error:
        return Finding.UNANSWERED, str(error) or type(error).__name__
    with connection:
        try:
            connection.settimeout(max(0.01, ends - time.monotonic()))
            if connection.recv(1):
                return Finding.ANSWERED, ""
            return Finding.SILENT, "it closed the connection without a greeting"
        except OSError as error:
            return Finding.SILENT, f"connected, no greeting: {error}"
