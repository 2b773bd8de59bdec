"""masterha_stop: end the manager of an application on this host."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Sequence

from ..replication.local.stop_request import StopRequest
from ..replication.memory.health_file import ManagerStatus
from ..replication.memory.manager_lock import ManagerLock
from ..replication.memory.manager_view import ManagerView, observe_manager
from .masterha_check_status import status_lines
from .shared.options import OptionParser, Target, add_selectors, for_each_app, one_line, run

#: Seconds between two looks whether the watch of a process that has several is over.
SEEN_AGAIN = 0.1


class _Process:
    """A running process that cannot be mistaken for a later one of the same number (pidfd_open(2), Linux 5.3)."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._file = os.pidfd_open(pid)

    def send(self, number: signal.Signals) -> None:
        """To its whole group if it leads one, so that a hook that runs ends with it; else to itself alone."""
        try:
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                signal.pidfd_send_signal(self._file, number)
        except ProcessLookupError:
            return  # it has ended by itself

    def gone_within(self, seconds: float) -> bool:
        """Wait for its end, at most so long."""
        poll = select.poll()
        poll.register(self._file, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def close(self) -> None:
        os.close(self._file)


def stop(target: Target, abort: bool, abort_timeout: float) -> int:
    """Stop one application's manager and print what became of it; 0 when none runs afterwards, else 1."""
    view = _observe(target)
    if not view.pid or view.status in (ManagerStatus.NOT_RUNNING, ManagerStatus.PARTIALLY_RUNNING):
        return _nothing_to_stop(target, view)
    try:
        process = _Process(view.pid)
    except ProcessLookupError:
        return _nothing_to_stop(target, _observe(target))
    except OSError as error:
        print(f"Manager process {view.pid}: {one_line(error)}", file=sys.stderr)
        return _failed(target)
    try:
        # Seen again now that the process is held open: between the two looks it may have ended and its number
        # may have been given away, or a failover may have begun.
        now = _observe(target)
        if now.pid != view.pid or now.status is ManagerStatus.NOT_RUNNING:
            return _nothing_to_stop(target, now)
        if now.status is ManagerStatus.FAILOVER_RUNNING and not abort:
            print(f"Currently Failover is running on {target.app}. Should not stop.")
            return 1
        if ManagerLock(target.workdir, target.app).held_by_several():
            return _end_watch(view.pid, target, abort_timeout)
        return _end(process, target, abort, abort_timeout)
    except PermissionError:
        print(f"Manager process {view.pid} belongs to another user.", file=sys.stderr)
        return _failed(target)
    finally:
        process.close()


def _observe(target: Target) -> ManagerView:
    return observe_manager(target.workdir, target.app, target.ping_limit)


def _nothing_to_stop(target: Target, view: ManagerView) -> int:
    if view.status is ManagerStatus.NOT_RUNNING:
        print(f"MHA Manager is not running on {target.app}({view.status.label}).")
        return 0
    print("\n".join(status_lines(view, target.log)), file=sys.stderr)
    return _failed(target)


def _end(process: _Process, target: Target, abort: bool, abort_timeout: float) -> int:
    process.send(signal.SIGTERM)
    if process.gone_within(abort_timeout):
        print(f"Stopped {target.app} successfully.")
        return 0
    print(f"Manager process {process.pid} didn't stop in {abort_timeout:g} seconds.")
    if not abort:
        return _failed(target)
    process.send(signal.SIGKILL)
    if not process.gone_within(max(abort_timeout, 5)):
        return _failed(target)
    print(f"Forced stopped {target.app}.")
    return 0


def _end_watch(pid: int, target: Target, seconds: float) -> int:
    """Have one watch ended of a process that has others; it is never killed for one of them."""
    StopRequest(target.workdir, target.app).ask()
    lock, ends = ManagerLock(target.workdir, target.app), time.monotonic() + seconds
    while lock.probe()[0]:
        if time.monotonic() > ends:
            print(f"The watch of {target.app} didn't stop in {seconds:g} seconds; it ends as soon as it can.")
            print(f"Process {pid} watches other clusters, too, and is not killed for this one.")
            return _failed(target)
        time.sleep(SEEN_AGAIN)
    print(f"Stopped {target.app} successfully. Process {pid} is left to its other clusters.")
    return 0


def _failed(target: Target) -> int:
    print(f"Failed to stop {target.app}.")
    return 1


def main(argv: Sequence[str] | None = None) -> int:
    """The command; exit 0 when no manager runs afterwards, 1 when one does or nothing could be told."""
    parser = OptionParser(
        "masterha_stop",
        "Stop the manager of an application on this host. A failover that is running is not stopped without --abort.",
        "masterha_stop --conf=/etc/mha/app1.cnf",
    )
    add_selectors(parser)
    parser.add_argument(
        "--abort", action="store_true", help="kill it when it does not end in time, also during a failover"
    )
    parser.add_argument(
        "--abort_timeout", type=int, default=5, metavar="SECONDS", help="how long to wait for its end (default: 5)"
    )
    options = parser.parse(argv)
    return run(lambda: for_each_app(options, lambda target: stop(target, options.abort, options.abort_timeout)))


if __name__ == "__main__":
    raise SystemExit(main())
