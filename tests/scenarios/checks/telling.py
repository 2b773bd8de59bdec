"""What masterha_check_repl tells of a cluster that was broken, and what its hints say."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from tests.lab.cluster import Cluster
from tests.lab.host import Host

HEALTHY, UNHEALTHY = "MySQL Replication Health is OK.", "MySQL Replication Health is NOT OK!"
PASSED, NOT_PASSED = "All SSH connection tests passed successfully.", "SSH Configuration Check Failed!"
#: What the lab's clusters are told of, however well they are: it defines no scripts, no server keeps a port for
#: administrators, and db3 has a small disk.
USUAL = {"server-proven", "script-defined", "super-read-only", "free-disk", "kept-port"}


class Told:
    """What masterha_check_repl said: exit code, and every check that was not well."""

    def __init__(self, cluster: Cluster, conf: Path | None = None, *options: str) -> None:
        done = cluster.command(
            "masterha_check_repl", f"--conf={conf or cluster.write_cnf()}", "--output=json", *options
        )
        text = done.output[done.output.index("{\n") :]
        told = json.loads(text[: text.rindex("}") + 1])
        self.code, self.checks = done.code, told["checks"]
        assert told["result"] == (HEALTHY if done.code == 0 else UNHEALTHY)
        assert told["exit_code"] == done.code
        assert "Traceback" not in done.output

    def of(self, name: str, subject: str = "") -> dict[str, Any]:
        """The one check of that name (and subject) that was not well."""
        found = [c for c in self.checks if not c["ok"] and c["name"] == name and c["subject"].startswith(subject)]
        assert len(found) == 1, (name, subject, found, self.not_ok)
        return dict(found[0])

    @property
    def not_ok(self) -> list[tuple[str, str, str]]:
        """Everything but what is usual here."""
        return [(c["name"], c["subject"], c["text"]) for c in self.checks if not c["ok"] and c["name"] not in USUAL]

    def assert_well(self) -> None:
        """All is well again."""
        assert (self.code, self.not_ok) == (0, [])


def statement(check: dict[str, Any]) -> str:
    """The first thing in backquotes of a hint."""
    found = re.search(r"`([^`]+)`", check["hint"])
    assert found, check
    return found[1]


def well_within(cluster: Cluster, seconds: float, conf: Path | None = None) -> None:
    """It may take a moment until a replica has caught up."""
    ends = time.monotonic() + seconds
    while (told := Told(cluster, conf)).not_ok and time.monotonic() < ends:
        time.sleep(0.2)
    told.assert_well()


def run_hint(host: Host, check: dict[str, Any]) -> None:
    """Do what the hint says, on the server that it names."""
    assert host.ip in check["hint"]
    host.sql(statement(check))


def aside(host: Host, *statements: str) -> None:
    """Statements that are written to no log, in one session."""
    session = host.connect()
    with session.cursor() as cursor:
        for each in ("SET sql_log_bin=0", *statements):
            cursor.execute(each)
    session.close()
