"""To find a manager's files no secret is needed, and none is fetched."""

from __future__ import annotations

import argparse
from pathlib import Path

from prefect_mha.commands.shared import options


def test_looking_for_files_runs_no_script_and_resolves_no_name(tmp_path: Path) -> None:
    conf = tmp_path / "app1.cnf"
    conf.write_text(
        f"[server default]\nmanager_workdir={tmp_path}\nmanager_log={tmp_path}/log\nping_interval=20\n"
        f"init_conf_load_script=touch {tmp_path}/ran; exit 1\n"
        "[server1]\nhostname=no-such-host.invalid\npassword=env:MHA_TEST_NEVER_SET\n"
    )
    parser = argparse.ArgumentParser()
    options.add_selectors(parser)
    given = parser.parse_args([f"--conf={conf}", f"--global_conf={tmp_path}/none"])
    found = options.target(given, None)
    assert found == options.Target("app1", tmp_path, tmp_path / "log", 60.0)
    assert not (tmp_path / "ran").exists()
