"""``make bench-standing``: what runs that stand ready cost, and whether they last. A measurement: nothing fails.

``python -m tests.lab.bench_standing [--runs 100] [--minutes 5] [--days 30]``. A process enters so many runs against a
real Prefect server: seconds until all can be acted in, memory, and requests to the API a minute. ``--days``: then one
run stands for so many days of looks in little time: they come one after the other instead of each minute (a day has
1,440), and the server is killed and started again ten times meanwhile.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.prefect_server import PrefectServer, ask_api

#: Seconds between two looks of a run in little time, and looks of a day.
FAST, A_DAY = 0.001, 1440
RESTARTS = 10
#: Seconds that the looks may take in all.
PATIENCE = 1800.0


def resident() -> float:
    """MiB of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """The requests that are answered to this process meanwhile, by their paths."""
    import httpx

    count: Counter[str] = Counter()
    sync, later = httpx.Client.send, httpx.AsyncClient.send

    def sending(self: httpx.Client, request: httpx.Request, **more: object) -> httpx.Response:
        answer = sync(self, request, **more)  # type: ignore[arg-type]
        count[f"{request.method} {request.url.path.split('/')[2]}"] += 1
        return answer

    async def sending_later(self: httpx.AsyncClient, request: httpx.Request, **more: object) -> httpx.Response:
        answer = await later(self, request, **more)  # type: ignore[arg-type]
        count[f"{request.method} {request.url.path.split('/')[2]}"] += 1
        return answer

    httpx.Client.send, httpx.AsyncClient.send = sending, sending_later  # type: ignore[method-assign,assignment]
    try:
        yield count
    finally:
        httpx.Client.send, httpx.AsyncClient.send = sync, later  # type: ignore[method-assign]


def stand(runs: int, minutes: float, workdir: Path) -> None:
    """Enter so many, and see what they cost while nothing happens."""
    from prefect_mha.flows.engine.standing.run import StandingRun

    before = resident()
    standing = [StandingRun("failover", f"app{n}", workdir) for n in range(runs)]
    began = time.monotonic()
    with counted() as entering:
        for each in standing:
            each.stand_by()
        while sum(each.is_ready for each in standing) < runs:
            time.sleep(0.1)
    took = time.monotonic() - began
    print(f"{runs} runs can be acted in after {took:.1f} s, {1000 * took / runs:.0f} ms each")
    print(
        f"memory: {before:.0f} MiB before, {resident():.0f} MiB with them: {(resident() - before) / runs:.2f} MiB each"
    )
    print(f"requests to enter one: {sum(entering.values()) / runs:.1f}  {dict(entering)}")
    processor = time.process_time()
    with counted() as idle:
        time.sleep(60.0 * minutes)
    used = time.process_time() - processor
    print(f"requests a minute, all of them: {sum(idle.values()) / minutes:.0f}  {dict(idle)}")
    print(f"processor: {100 * used / (60 * minutes):.1f} % of one core; memory {resident():.0f} MiB")
    lost = runs - sum(each.is_ready for each in standing)
    print(f"lost meanwhile: {lost}")
    began = time.monotonic()
    for each in standing:
        each.stand_down()
    print(f"all stood down after {time.monotonic() - began:.1f} s", flush=True)


def last(days: float, server: PrefectServer, workdir: Path) -> None:
    """One run for so many days' worth of looks, the server restarted now and then."""
    from prefect_mha.flows.engine.standing import run as module

    module.LOOK = FAST
    one = module.StandingRun("failover", "lasting", workdir)
    one.stand_by()
    while not one.is_ready:
        time.sleep(0.05)
    first, began, memory = one.id, time.monotonic(), resident()
    with counted() as asked:
        for part in range(1, RESTARTS + 1):
            while asked["GET flow_runs"] < days * A_DAY * part / RESTARTS and time.monotonic() < began + PATIENCE:
                time.sleep(0.1)
            server.kill()
            server.start()
    stood = asked["GET flow_runs"] / A_DAY
    print(f"{stood:.1f} days of looks in {time.monotonic() - began:.0f} s", flush=True)
    time.sleep(5.0)
    state = ask_api(server.api_url, f"/flow_runs/{first}", method="GET")
    print(
        f"after {RESTARTS} restarts of the server: the same run: {one.id == first}, ready: {one.is_ready}, "
        f"Prefect shows {state['state_name']}; memory {memory:.0f} MiB, then {resident():.0f} MiB"
    )
    one.stand_down()


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench_standing", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--days", type=float, default=30.0)
    given = parser.parse_args()
    with PrefectServer() as server, tempfile.TemporaryDirectory() as place:
        os.environ |= server.client_environment()
        stand(given.runs, given.minutes, Path(place))
        if given.days:
            last(given.days, server, Path(place))
        sys.stdout.flush()
        os._exit(0)  # nobody waits for what is left to be told


if __name__ == "__main__":
    sys.exit(main())
