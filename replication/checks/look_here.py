"""Look at this machine: the manager's directories, and the scripts that it would start."""

from __future__ import annotations

import logging
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

from ...config import ClusterConfig
from ..errors import HookError
from ..local.copy_places import spare_of
from ..local.own_files import doubt
from ..local.site_scripts import failover_args, run_hook, shutdown_args, why_not_runnable
from .facts import (
    Facts,
    ManagerFacts,
    ScriptFacts,
)

log = logging.getLogger("mha")

#: Scripts that answer ``--command=status``, and those of which only their being startable can be known.
ASKED = ("master_ip_failover_script", "shutdown_script")
STARTED = ("master_ip_online_change_script", "secondary_check_script", "report_script", "init_conf_load_script")


def look_at_manager(config: ClusterConfig) -> ManagerFacts:
    """The directory of state files, journals and saved logs; one that is missing is made when it is needed."""
    path, spare = config.manager_workdir, spare_of(config)
    seen = ManagerFacts(str(path), open_files=tuple(str(file) for file in config.secret_files if _is_open(file)))
    there, trouble = _usable(path)
    if trouble:
        return replace(seen, trouble=trouble)
    second, trouble = _usable(spare)
    apart = not trouble and second.stat().st_dev != there.stat().st_dev
    return replace(
        seen,
        doubt=doubt(path) if there == path else "",
        free=shutil.disk_usage(there).free,
        spare=str(spare),
        spare_trouble=trouble,
        spare_free=shutil.disk_usage(second).free if apart else 0,
    )


def _usable(path: Path) -> tuple[Path, str]:
    """What is there of a directory that may still have to be made, and why nothing can be written there."""
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir():
        return there, f"{there} is no directory"
    return there, "" if os.access(there, os.W_OK | os.X_OK) else f"{there} cannot be written by this user"


def _is_open(file: Path) -> bool:
    """Whether every local user may read it."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def ask_scripts(facts: Facts) -> list[ScriptFacts]:
    """Ask the scripts that can be asked, and see whether the others can be started. Bounded by ``hook_timeout``."""
    config, primary = facts.config, facts.primary
    found = []
    for parameter in ASKED:
        line = getattr(config, parameter)
        if line and primary is not None:
            args = failover_args("status", primary) if parameter == ASKED[0] else shutdown_args("status", primary)
            found.append(ScriptFacts(parameter, _status(config, parameter, line, args), asked=True))
    for parameter in STARTED:
        if line := getattr(config, parameter):
            found.append(ScriptFacts(parameter, why_not_runnable(line)))
    return found


def _status(config: ClusterConfig, parameter: str, line: str, args: list[str]) -> str:
    log.info("Checking %s status:", parameter)
    secrets = [server.password.get_secret_value() for server in config.servers]
    try:
        done = run_hook(line, args, command="status", timeout=config.hook_timeout, secrets=secrets)
    except HookError as error:
        return str(error)
    said = next((text for text in reversed(done.output) if text.strip()), "")
    return "" if done.ok else f"exit code {done.exit_code}" + (f": {said.strip()}" if said else "")
