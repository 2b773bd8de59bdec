"""Mail and a webhook arrive, repetitions do not, a service that is dead delays nothing, and no URL shows anywhere."""

from __future__ import annotations

import json
import signal
import statistics
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from prefect_mha.replication.memory.journal import read_journal
from tests.lab.cluster import Cluster
from tests.lab.prefect_server import free_port
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


def metrics(port: int) -> dict[tuple[str, str], float]:
    """The manager's numbers, by name and server."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {(s.name, s.labels.get("server", "")): s.value for family in families for s in family.samples}


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
            seen = [*(each["subject"] for each in mail.got), *(each["title"] for each in hook.got)]
            assert len(seen) == 3
            assert all(title.startswith("TEST: app1: ") for title in seen), seen
            mail.got.clear()
            hook.got.clear()
            port = free_port()
            manager = cluster.start_manager(cluster.write_cnf(candidate=2, default=f"{default}\nhealth_port={port}"))
            writer = Writer(cluster)
            time.sleep(1.5)
            numbers = metrics(port)
            cluster[1].signal_mysqld(signal.SIGKILL)
            code, acks = finish(manager, writer)
            assert code == 0, manager.log()
            assert_survivors_agree(cluster, acks, 2, (3,))
            names = [f"{host.ip}({host.ip}:3306)" for host in cluster.hosts]
            assert numbers["mha_failover_ready", ""] == 1.0
            # While applications write, now this one is ahead and now that one.
            assert next(name for metric, name in numbers if metric == "mha_failover_candidate") in names[1:]
            assert [numbers["mha_server_primary", name] for name in names] == [1.0, 0.0, 0.0]
            assert all(0.0 < numbers["mha_ping_seconds", name] < 1.5 for name in names)
            assert all(numbers["mha_replication_lag_seconds", name] < 5.0 for name in names[1:])
            assert numbers["mha_manager_status", ""] == 0.0
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
            others = [title for path, title in titles if not path.endswith("-dead")]
            assert [each["subject"] for each in mails] == others
            assert str(mails[-1]["to"]) == "dba@example.org"
            page = mails[-1].get_body(("html",)).get_content()
            assert f"<strong>{cluster[2].ip}({new}) is the new primary.</strong>" in page
            (attached,) = list(mails[-1].iter_attachments())
            assert attached.get_filename() == "app1-completed.html"
            told = (cluster.seat / "app1").glob("*.incident-*.html")
            assert attached.get_payload(decode=True) == next(told).read_bytes()
            (file,) = calls[-1]["attachments"]
            assert file["filename"] == "app1-completed.html"
            assert "Failover Report" in report.read_text(), "report_script still runs"
        shown = everything_written(cluster, secrets).replace((cluster.seat / "app1.cnf").read_text(), "")
        assert "Told json, URL 2 of notify of completed" in shown
        for text in (shown, tested.output, *watcher.seen):
            assert PASSWORD not in text
            assert TOKEN not in text
        assert any("prefect_mha.replication.notify.worker" in text for text in watcher.seen), (
            "the sender was watched, too"
        )


@pytest.mark.slow
def test_a_dead_service_delays_nothing_and_is_given_up() -> None:
    """One service takes the call and never answers, one refuses: the others are told, and the log says so."""
    with (
        Cluster("mariadb", gtid=True) as cluster,
        cluster.in_manager_net(),
        SilentService() as silent,
        Webhook() as hook,
    ):
        urls = [
            f"json://127.0.0.1:{silent.port}/a",
            f"mailto://u:p@127.0.0.1:{silent.port}?from=mha@example.org&to=dba@example.org",
        ]
        urls += [f"json://127.0.0.1:{hook.port}/b", "json://127.0.0.1:9/c"]
        default = f"notify={' '.join(urls)}\nnotify_timeout=1\nnotify_deadline=8"
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default=default))
        writer = Writer(cluster)
        time.sleep(1.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))
        assert silent.calls >= 2
        hook.wait_for(lambda got: any("completed" in each["title"] for each in got))
        log = manager.log()
        assert "json, URL 4 of notify could not be told of suspect yet" in log
        assert "json, URL 4 of notify was NOT told of suspect: " in log


#: What is told until the new primary takes writes; what comes later delays nobody.
ON_THE_WAY = ["suspect", "dead", "started", "fenced", "promoted"]


def held_up(cluster: Cluster, default: str) -> tuple[float, float]:
    """Seconds that telling people held a failover up, and those from the verdict to the opening, by its journal."""
    conf, file = cluster.write_cnf(default=default), cluster.directory / "told.jsonl"
    workdir = conf.with_suffix("")
    workdir.mkdir()
    with (workdir / "manager.out").open("ab") as out:
        words = ("-m", "tests.lab.telling", str(file), "masterha_manager", f"--conf={conf}")
        manager = cluster.run_there(sys.executable, *words, out=out)
    log = workdir / "manager.log"
    ends = time.monotonic() + 30.0
    while not (log.exists() and "waiting until MySQL doesn't respond" in log.read_text()):
        assert time.monotonic() < ends, (workdir / "manager.out").read_text()
        time.sleep(0.1)
    time.sleep(2.0)
    cluster[1].signal_mysqld(signal.SIGKILL)
    assert manager.wait(60) in (0, 10), log.read_text()
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert [event for event, _ in told if event in ON_THE_WAY] == ON_THE_WAY
    (journal,) = workdir.glob("*.failover-*.journal")
    entries = list(read_journal(journal))
    dead = next(e.at for e in entries if e.step == "verdict")
    opened = next(e.at for e in entries if e.step.startswith("Open the new") and e.event == "done")
    return sum(seconds for event, seconds in told if event in ON_THE_WAY), opened - dead


@pytest.mark.slow
def test_a_dead_service_costs_at_most_50_ms() -> None:
    """What the failover itself spends on telling: whole failovers differ by more than that on a busy machine."""
    seconds: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(3):
        for dead in (False, True):
            with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), SilentService() as silent:
                url = f"notify=json://127.0.0.1:{silent.port}/ mailto://u:p@127.0.0.1:{silent.port}?from=mha@example.org&to=dba@example.org"
                default = f"{url}\nnotify_timeout=5\nnotify_deadline=20" if dead else ""
                seconds[dead].append(held_up(cluster, default))
                assert silent.calls >= (2 if dead else 0)
    for dead, runs in seconds.items():
        held, whole = ([round(1000 * each[n], 1) for each in runs] for n in (0, 1))
        print(f"\n{'dead services' if dead else 'none':14} held up for {held} ms of {whole} ms from verdict to writes")
    assert statistics.median(held for held, _ in seconds[True]) <= 0.050
