"""What goes wrong with a remote file: a session that broke is tried again, a file that cannot be read is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import paramiko
import pytest

from prefect_mha.replication.errors import HostError, HostUnreachable, RemoteFileError
from prefect_mha.replication.ssh.sftp_reader import file_errors


def lease(*, closed: bool = False, active: bool = True) -> Any:
    channel = SimpleNamespace(closed=closed, eof_received=False, gettimeout=lambda: 5.0)
    return SimpleNamespace(channel=channel, active=active)


@pytest.mark.parametrize(
    ("error", "where", "found"),
    [
        (EOFError(), lease(), HostUnreachable),
        (EOFError("End of file"), lease(), RemoteFileError),
        (OSError("Failure"), lease(), RemoteFileError),
        (OSError("Failure"), lease(closed=True), HostUnreachable),
        (paramiko.SSHException("x"), lease(active=False), HostUnreachable),
        (PermissionError(13, "no"), lease(), RemoteFileError),
        (TimeoutError(), lease(), HostUnreachable),
    ],
    ids=["the far end is gone", "the file ends", "the server says no", "closed", "broken", "no right", "silence"],
)
def test_whether_it_is_tried_again(error: Exception, where: Any, found: type[HostError]) -> None:
    with pytest.raises(found), file_errors("db1", "read it", where):
        raise error
