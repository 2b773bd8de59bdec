"""masterha_check_status: what the manager of an application on this host is doing, as a line and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..replication.memory.health_file import HealthFile, ManagerStatus
from ..replication.memory.manager_view import ManagerView, observe_manager
from .shared.options import OptionParser, Target, add_selectors, for_each_app, run
from .views.terminal import draw, print_document, rows_table

_LINES = {
    ManagerStatus.PING_OK: "{app} (pid:{pid}) is running({status}), {primary}",
    ManagerStatus.UNEXPECTED_ERROR: "Unexpected error on {app}.",
    ManagerStatus.NOT_RUNNING: "{app} is stopped({status}).",
    ManagerStatus.PARTIALLY_RUNNING: "Main process is not running, but child process is running on {app} "
    "(child pid: {children}) ({status}). Check ps output for details and kill it.",
    ManagerStatus.INITIALIZING_MONITOR: "{app} monitoring program is now on initialization phase({status}). "
    "Wait for a while and try checking again.",
    ManagerStatus.PING_FAILING: "{app} master maybe down({status}). {primary}",
    ManagerStatus.PING_FAILED: "{app} master maybe down({status}). {primary}",
    ManagerStatus.PRIMARY_READ_ONLY: "{app} is running, but its read-only primary takes no writes({status}). {primary}",
    ManagerStatus.RETRYING_MONITOR: "{app} monitoring waits for retrying to monitor master again({status}). "
    "Wait for a while and try checking again.",
    ManagerStatus.CONFIG_ERROR: "{app} servers are not correctly configured({status}).",
    ManagerStatus.TIMESTAMP_OLD: "{app} is running, but master_ping.health is too old({status}). "
    "Maybe process hangs? {primary}",
    ManagerStatus.STANDING_BY: "{app} (pid:{pid}) is standing by({status}), {active} watches. {primary}",
    ManagerStatus.FAILOVER_RUNNING: "{app} master is down and failover is running({status}). {primary}",
    ManagerStatus.FAILOVER_ERROR: "{app} master is down and failover was not successful({status}). {primary}",
    ManagerStatus.FAILOVER_UNFINISHED: "{app} is running, but a failover left something open({status}): see the log of "
    "the manager. {primary}",
}
_SEE_LOG = {
    ManagerStatus.PING_FAILING,
    ManagerStatus.PING_FAILED,
    ManagerStatus.PRIMARY_READ_ONLY,
    ManagerStatus.CONFIG_ERROR,
    ManagerStatus.FAILOVER_RUNNING,
    ManagerStatus.FAILOVER_ERROR,
}


def status_lines(view: ManagerView, log: Path | None) -> list[str]:
    """MHA's lines for a state (mha-manager 0.58); the log is named where it has more to tell."""
    primary = f"master:{view.primary}" if view.primary else ""
    line = _LINES[view.status].format(
        app=view.app,
        pid=view.pid,
        status=view.status.label,
        primary=primary,
        active=view.active or "an unknown manager",
        children=" ".join(map(str, view.children)),
    )
    lines = [line.rstrip(" ,")]
    if log and view.status in _SEE_LOG:
        lines.append(f"Check {log} for details.")
    return lines


def check(target: Target) -> int:
    """Print one application's state and return its code."""
    view = observe_manager(target.workdir, target.app, target.ping_limit)
    health_file = HealthFile(target.workdir, target.app).path
    if view.status is ManagerStatus.TIMESTAMP_OLD:
        print(f"{health_file} behinds {view.age:.0f} seconds!")
    if view.status is ManagerStatus.UNEXPECTED_ERROR:
        print(f"{health_file} is not a status file of a manager.")
    print("\n".join(status_lines(view, target.log)))
    return int(view.status)


def row(target: Target) -> dict[str, Any]:
    """One application's state as plain data; ``age`` is the seconds since its status file was written."""
    view = observe_manager(target.workdir, target.app, target.ping_limit)
    return {
        "app": target.app,
        "code": int(view.status),
        "status": view.status.name,
        "primary": view.primary,
        "active": view.active,
        "pid": view.pid,
        "age": round(view.age, 1),
        "log": str(target.log or ""),
        "text": " ".join(status_lines(view, target.log)),
    }


def show(target: Target, output: str) -> int:
    """Print one application's state in that form and return its code; JSON is one line each."""
    if output == "text":
        return check(target)
    seen = row(target)
    if output == "json":
        print_document("status", seen, indent=None)
    else:
        draw(rows_table([seen]))
    code: int = seen["code"]
    return code


def parser() -> OptionParser:
    """MHA's selectors, and --output."""
    made = OptionParser(
        "masterha_check_status",
        "Tell what the manager of an application does on this host.\n\n"
        "exit codes:\n" + "\n".join(f"  {status.value:>2}  {status.name}" for status in ManagerStatus),
        "masterha_check_status --conf=/etc/mha/app1.cnf",
    )
    add_selectors(made)
    made.add_argument("--output", choices=("text", "table", "json"), default="text", help="how it is printed (text)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code is the code of the state (with --all: 0 when every one is 0, else 1)."""
    options = parser().parse(argv)
    return run(lambda: for_each_app(options, lambda target: show(target, options.output)))


if __name__ == "__main__":
    raise SystemExit(main())
