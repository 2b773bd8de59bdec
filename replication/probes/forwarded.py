"""A view of the primary from a host that has nothing to look with: its sshd connects for us."""

from __future__ import annotations

import time

from ...config import ServerConfig
from ..detection.observation import Finding, Observation, Observer
from ..errors import DeadlineExceeded, HostError
from ..ssh.host import SshHost


def look_through(host: SshHost, primary: ServerConfig, *, timeout: float) -> Observation:
    """Whether the primary's port greets a connection that this host's sshd makes, within ``timeout`` seconds.

    NO_VIEW where sshd forwards nothing (sshd_config(5), AllowTcpForwarding): a tool that is missing is no silence.
    """
    began = time.monotonic()
    try:
        greeted = host.greeted(primary.ip, primary.port, timeout=timeout)
    except (HostError, DeadlineExceeded) as error:
        took = time.monotonic() - began
        return Observation(Observer.OBSERVER, host.name, Finding.NO_VIEW, f"it has no bash, and {error}", took=took)
    finding = Finding.ANSWERED if greeted else Finding.SILENT
    return Observation(Observer.OBSERVER, host.name, finding, took=time.monotonic() - began)
