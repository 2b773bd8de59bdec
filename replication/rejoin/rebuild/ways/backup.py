"""The files of a MariaDB server while it runs, by mariadb-backup: from its host through this process to the other."""

from __future__ import annotations

import contextlib
import shlex

from ....deadline import Deadline
from ....errors import StatementFailed
from ....meter import Metered
from ....model.state import Vendor
from ....rescue.apply import client_options
from ....scripts import script
from ....ssh.rights import as_root
from ..job import RebuildJob
from ..on_host import LONG
from ..place import Place, of_backup

#: Seconds that a donor may send nothing.
SILENCE = 300.0


def receive(job: RebuildJob) -> None:
    """A whole copy, prepared, beside the old data. Raises HostError's children, ServerError, DeadlineExceeded."""
    host, server = job.sessions.host(job.copying.donor), job.sessions.server(job.copying.donor)
    server.connect()
    words = (server.config.remote_workdir, str(int(not job.copying.primary)), server.observe().datadir)
    told = " ".join(shlex.quote(word) for word in words)
    meter = job.meter("receive a backup")
    options = client_options(server.config, vendor=Vendor.MARIADB, plugin=server.plugin)
    plain = f"sh -c {shlex.quote(script('send_backup.sh'))} send_backup {told}"
    command = as_root(server.config, f"backup {words[1]}", plain, with_input=True)
    sending = host.started(command, action="back it up", timeout=LONG, silence=SILENCE)
    with contextlib.closing(sending):
        sending.give(options.encode())
        stream = Metered(b"", sending, meter)
        job.there.step("receive", action="unpack the backup", timeout=LONG, stdin=stream)
        sending.finish(Deadline(30.0))
    meter.finish()
    job.there.step("prepare", action="prepare the backup", timeout=LONG)


def stands(job: RebuildJob) -> Place:
    """As the backup noted it. Raises StatementFailed where it did not."""
    lines = job.there.step("info", action="read where the backup stands")
    place = of_backup(lines, job.plan.kind, primary=job.copying.primary)
    if place is None:
        raise StatementFailed(job.plan.old_name, "read where its backup stands", "it does not tell")
    return place
