"""Mail and a webhook arrive, repetitions do not, a service that is dead delays nothing, and no URL shows anywhere."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import sys
import time
from pathlib import Path

import pytest

from replication.journal import read_journal
from tests.lab.cluster import Cluster
from tests.lab.services import MailServer, SilentService, Webhook
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish
from tests.scenarios.test_checks_keep_secrets import Watcher

#: What of the URLs may show nowhere: a login's password, a webhook's path, a token.
PASSWORD, TOKEN = "Plantd-pw-7731", "T0KEN-planted-5582"


def everything_written(cluster: Cluster, but: Path) -> str:
    """Every file of the manager's seat, the one that holds the secrets left out."""
    files = [path for path in cluster.seat.rglob("*") if path.is_file() and path != but]
    return "\n".join(path.read_text(errors="replace") for path in files)


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [pytest.param("mariadb", True, id="mariadb"), pytest.param("mysql97", True, id="9.7", marks=pytest.mark.slow)],
)
def test_mail_and_a_webhook_tell_of_a_failover(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster, cluster.in_manager_net():
        with MailServer(PASSWORD) as mail, Webhook() as hook, Watcher() as watcher:
            report = cluster.seat / "report.txt"
            script = cluster.seat / "report.sh"
            script.write_text(f'#!/bin/sh\necho "$@" >{report}\n')
            script.chmod(0o755)
            secrets = cluster.seat / "notify.urls"
            secrets.write_text(
                "# the on-call's mailbox\n"
                f"mailto://dba:{PASSWORD}@127.0.0.1:{mail.port}?from=mha@example.org&to=dba@example.org\n"
                f"json://127.0.0.1:{hook.port}/{TOKEN}\n"
            )
            own = cluster.seat / "texts"
            own.mkdir()
            (own / "promoted.md").write_text("# ${cluster} writes to ${new_primary} now\n\nIt was ${old_primary}.\n")
            default = (
                f"notify=file:{secrets}\nnotify_started=none\nreport_script={script}\n"
                f"notify_dead='json://127.0.0.1:{hook.port}/{TOKEN}-dead'\nnotify_templates={own}"
            )
            tested = cluster.command("mha", "notify", "test", "--conf", str(cluster.write_cnf(default=default)))
            assert tested.code == 0, tested
            assert [line.split(":")[0] for line in tested.output.splitlines() if line.endswith("ok")] == [
                "mailto, URL 1 of notify",
                "json, URL 2 of notify",
                "json, URL 1 of notify_dead",
            ]
            mail.got.clear()
            hook.got.clear()
            manager = cluster.start_manager(cluster.write_cnf(default=default))
            writer = Writer(cluster)
            time.sleep(1.0)
            cluster[1].signal_mysqld(signal.SIGKILL)
            code, acks = finish(manager, writer)
            assert code == 0, manager.log()
            assert_survivors_agree(cluster, acks, 2, (3,))
            calls = hook.wait_for(lambda got: any("completed" in each["title"] for each in got))
            mails = mail.wait_for(lambda got: any("completed" in each["subject"] for each in got))
            old, new = f"{cluster[1].ip}:3306", f"{cluster[2].ip}:3306"
            titles = [(call["path"], call["title"]) for call in calls]
            assert titles == [
                (f"/{TOKEN}", f"app1: {old} does not answer"),
                (f"/{TOKEN}-dead", f"app1: {old} is dead"),
                (f"/{TOKEN}", f"app1 writes to {new} now"),
                (f"/{TOKEN}", f"app1: failover completed: {cluster[2].ip}({new}) is the new primary"),
            ], titles
            assert calls[2]["message"].strip() == f"It was {old}."
            # The mails are the same but for the dead, who has a service of its own.
            assert [each["subject"] for each in mails] == [title for path, title in titles if not path.endswith("-dead")]
            assert str(mails[-1]["to"]) == "dba@example.org"
            page = mails[-1].get_body(("html",)).get_content()
            assert f"<strong>{cluster[2].ip}({new}) is the new primary.</strong>" in page
            (attached,) = list(mails[-1].iter_attachments())
            assert attached.get_filename() == "app1-completed.md"
            assert "## Timeline" in str(attached.get_content())
            (file,) = calls[-1]["attachments"]
            assert file["filename"] == "app1-completed.md"
            assert "Failover Report" in report.read_text(), "report_script still runs"
        shown = everything_written(cluster, secrets).replace((cluster.seat / "app1.cnf").read_text(), "")
        assert "Told json, URL 2 of notify of completed" in shown
        for text in (shown, tested.output, *watcher.seen):
            assert PASSWORD not in text
            assert TOKEN not in text
        assert any("replication.notify_sender" in text for text in watcher.seen), "the sender was watched, too"
