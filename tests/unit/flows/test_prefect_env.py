"""The settings that keep Prefect out of the way, the bounded way out, and what a late delivery does without an API."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prefect_mha.flows.engine.record import RunRecord, Unanswered, deliver
from prefect_mha.tasks.prefect_settings import PROTECTION, protect_from_prefect
from tests.lab.prefect_server import refused_port

from prefect.settings import Settings, temporary_settings  # isort: skip - after ours, as in the product

ROOT = Path(__file__).parents[3]


class TestProtection:
    def test_every_name_is_one_that_prefect_reads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in PROTECTION.items():
            monkeypatch.setenv(name, value)
        read = Settings()
        assert read.client.server_version_check_enabled is False
        assert read.server.ephemeral.enabled is False
        assert read.server.analytics_enabled is False
        assert read.logging.to_api.when_missing_flow == "ignore"
        assert read.internal.logging_level == "CRITICAL"

    def test_what_the_user_has_set_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PREFECT_LOGGING_INTERNAL_LEVEL", "ERROR")
        protect_from_prefect()
        assert Settings().internal.logging_level == "ERROR"


class TestLeave:
    @staticmethod
    def run(code: str) -> tuple[int, str, float]:
        started = time.monotonic()
        script = "import threading, time, atexit\nfrom prefect_mha.flows.engine.api import leave\n" + code
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout, time.monotonic() - started

    def test_a_thread_that_prints_does_not_turn_the_exit_code_into_an_abort(self) -> None:
        code, out, _ = self.run(
            "def talk():\n while True: print('x' * 1000)\n"
            "for _ in range(4): threading.Thread(target=talk, daemon=True).start()\nleave(10)"
        )
        assert code == 10
        assert out

    @pytest.mark.parametrize(
        "holder",
        [
            "threading.Thread(target=time.sleep, args=(60,)).start()",
            "atexit.register(time.sleep, 60)",
        ],
    )
    def test_nothing_holds_the_process(self, holder: str) -> None:
        code, out, seconds = self.run(f"{holder}\nprint('hello')\nleave(10)")
        assert (code, out) == (10, "hello\n")
        assert seconds < 10

    def test_another_thread_can_end_the_process_with_its_code(self) -> None:
        code, _, seconds = self.run("threading.Thread(target=leave, args=(3,)).start()\ntime.sleep(60)")
        assert code == 3
        assert seconds < 10


class TestDelivery:
    START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def record(self) -> RunRecord:
        return RunRecord(
            key="app1/1",
            flow_name="failover",
            run_name="failover app1",
            started=self.START,
            ended=self.START,
            state="COMPLETED",
        )

    def test_a_record_survives_being_kept_in_a_file(self) -> None:
        record = self.record()
        assert RunRecord.model_validate_json(record.model_dump_json()) == record

    def test_an_api_that_is_away_is_told_apart_from_one_that_refuses(self) -> None:
        with refused_port() as port, temporary_settings({"api.url": f"http://127.0.0.1:{port}/api"}):
            started = time.monotonic()
            with pytest.raises(Unanswered, match="ConnectError"):
                deliver(self.record())
        assert time.monotonic() - started < 30  # the default is to try for 71 s
