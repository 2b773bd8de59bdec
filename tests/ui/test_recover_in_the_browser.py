"""The primary is dead, and somebody recovers the cluster in a browser: Prefect's UI as it is shipped, from a clone.

Screenshots of every page are kept in tests/ui/output.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab.checker import account
from tests.lab.cluster import HOUSE, Cluster
from tests.lab.prefect_server import PrefectServer
from tests.lab.sftp_gate import SftpGate
from tests.lab.writer import Writer
from tests.ui.browser import PATIENCE, Page, browser_page, expect, shot


def prefect_of(cluster: Cluster, env: dict[str, str]) -> Callable[..., str]:
    def prefect(*words: str) -> str:
        process = cluster.run_there(sys.executable, "-m", "prefect", "--no-prompt", *words, env=env)
        output, _ = process.communicate(timeout=180)
        assert process.returncode == 0, output
        return str(output)

    return prefect


def test_somebody_recovers_a_cluster() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        cluster.write_cnf(servers={3: "no_master=1"})
        env = {"PREFECT_API_URL": server.api_url, "MHA_CONF_DIR": str(cluster.seat)}
        env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        prefect = prefect_of(cluster, env)
        prefect("work-pool", "create", "mha", "--type", "process")
        prefect("deploy", "--all", "--prefect-file", str(HOUSE / "prefect.yaml"))
        # The deployment of the monitor stays as it is shipped, but this time nobody is to be quicker than the person.
        prefect("deployment", "schedule", "clear", "monitor/monitor", "--accept-yes")
        writer = Writer(cluster)
        time.sleep(0.5)
        for number in (3, 2):
            cluster.stop_receiver(cluster[number])
        time.sleep(0.5)
        cluster[1].signal_mysqld(signal.SIGKILL)
        with (cluster.directory / "worker.log").open("w") as out:
            worker = cluster.run_there(
                sys.executable, "-m", "prefect", "worker", "start", "--pool", "mha", env=env, out=out
            )
        try:
            with browser_page() as page:
                recover(page, f"http://127.0.0.1:{server.port}", cluster)
        finally:
            worker.kill()
            worker.wait(10)
        acks = writer.stop()
        result = account(acks, [cluster[2], cluster[3]])
        assert result.rows_lost == 0
        assert result.equal
        journal = "".join(p.read_text() for p in (cluster.seat / "app1").glob("*.journal"))
        assert re.search(r'"step": "approval".*"by": "Ada at night".*"where": "in Prefect\'s UI"', journal)


def seen_running(page: Page) -> None:
    """A step that takes its time stands there as running, and what it logs on its own page."""
    run = page.url
    page.get_by_text("Task Runs", exact=True).last.click()
    saving = page.locator("a[href*='/task-run/']", has_text="Save the dead primary's binary log").first
    expect(saving).to_be_visible()
    expect(page.get_by_text("Running", exact=True).last).to_be_visible()
    shot(page, "6-saving")
    saving.click()
    expect(page.get_by_text("Running", exact=True).first).to_be_visible()
    expect(page.get_by_text("Reading the binary log of").first).to_be_visible()
    shot(page, "6-saving-log")
    page.goto(run)


def recover(page: Page, base: str, cluster: Cluster) -> None:
    """From the list of deployments to the report."""
    old, new, barred = (cluster[n].ip for n in (1, 2, 3))
    page.goto(f"{base}/deployments")
    page.locator("a[href*='/deployments/deployment/']", has_text="failover").first.click()
    page.get_by_text("Description", exact=True).first.click()
    expect(page.get_by_text("after somebody has approved the plan").first).to_be_visible()
    shot(page, "1-deployment")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    for text in ("New primary", "Dry run", "Ask before acting", "When transactions are or may be lost"):
        expect(page.get_by_text(text).first).to_be_visible()
    shot(page, "2-form")
    page.get_by_role("button", name="Submit").click()

    page.wait_for_url(lambda url: not re.search(r"/deployment/[^/]+/run\b", url))
    shot(page, "2-submitted")
    ends = time.monotonic() + PATIENCE / 1000
    run = page.locator("a[href*='/runs/flow-run/']", has_text=f"failover app1: {old} → {new}").first
    # As a person does who waits for a run to appear.
    while not run.is_visible():
        assert time.monotonic() < ends, page.inner_text("body")
        page.goto(f"{base}/runs")
        page.wait_for_timeout(2000)
    run.click()
    expect(page.get_by_text("Paused").first).to_be_visible()
    shot(page, "3-paused")
    page.get_by_role("button", name="Resume").first.click()
    expect(page.get_by_text(f"is dead. Start the failover to {new}").first).to_be_visible()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Without an answer within 60 minutes nothing is changed")).to_be_visible()
    expect(dialog.get_by_text(f"that only {old} has, rescued first over SSH")).to_be_visible()
    link = dialog.get_by_role("link", name="The plan, step by step").get_attribute("href")
    shot(page, "4-question")
    assert page.context.browser is not None
    plan = page.context.browser.new_page(viewport={"width": 1400, "height": 1100})
    plan.set_default_timeout(PATIENCE)
    plan.goto(str(link))
    expect(plan.get_by_role("heading", name="Failover plan for app1")).to_be_visible()
    expect(plan.get_by_role("row").filter(has_text=barred).get_by_text("✗ lost")).to_be_visible()
    shot(plan, "5-plan")
    plan.close()
    # With the keyboard: a click on a select of this UI closes it again at once in a window without a screen.
    decision = dialog.locator(".schema-form-property").filter(has=page.get_by_text("Decision", exact=True))
    decision.locator("fieldset button").focus()
    page.keyboard.press("Space")
    page.get_by_role("option", name="start", exact=True).click()
    dialog.locator("textarea").last.fill("Ada at night")
    shot(page, "6-answered")
    gate = SftpGate(cluster[1])
    dialog.get_by_role("button", name="Submit").click()
    gate.wait()
    seen_running(page)
    gate.open()

    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    shot(page, "7-completed")
    page.get_by_text("Task Runs", exact=True).last.click()
    expect(page.get_by_text("Open the new primary for writes").first).to_be_visible()
    shot(page, "8-steps")
    page.get_by_text("Artifacts", exact=True).last.click()
    page.locator("a[href*='/artifacts/artifact/']", has_text=re.compile("Failover report of app1")).first.click()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    expect(page.get_by_text("by Ada at night, in Prefect's UI").first).to_be_visible()
    expect(page.get_by_text(f"Master failover to {new}").first).to_be_visible()
    shot(page, "9-report")
