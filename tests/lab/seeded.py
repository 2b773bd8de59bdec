"""What the two seeded runs share: their arguments, waiting, and what is kept of a step that went wrong."""

from __future__ import annotations

import argparse
import functools
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pymysql

from prefect_mha.replication.errors import MhaError
from prefect_mha.replication.memory.held_servers import HeldServers
from tests.lab import waiting
from tests.lab.cluster import HOUSE, Cluster

MODES = {
    "mariadb": ("mariadb", True),
    "mariadb-position": ("mariadb", False),
    "mariadb105": ("mariadb105", True),
    "mariadb105-position": ("mariadb105", False),
    "mariadb118": ("mariadb118", True),
    "mariadb118-position": ("mariadb118", False),
    "mysql97": ("mysql97", True),
    "mysql97-position": ("mysql97", False),
    "mysql56": ("mysql56", True),
    "mysql56-position": ("mysql56", False),
}
OUTPUT = HOUSE / "tests" / "output"
#: Whatever a step of the lab, or of the cluster in it, may go wrong with.
WRONG = (AssertionError, OSError, RuntimeError, pymysql.MySQLError, MhaError)


class Spoiled(Exception):
    """A promise was broken, or the lab does not get its cluster back: the next step needs another one."""


def arguments(program: str, description: str) -> argparse.ArgumentParser:
    """SEED and the kind of server; whoever gives no seed gets one, and reads it in the output."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10**6))
    parser.add_argument("--kind", choices=MODES, default="mariadb")
    parser.add_argument("--first", type=int, default=1, help="the first step to be done; those before it are left out")
    return parser


def timed(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """MINUTES, too."""
    parser.add_argument("--minutes", type=float, default=10.0, help="no step but the first begins later (10)")
    return parser


def held(workdir: Path) -> list[str]:
    """The ``ip:port`` of every server that is held read-only."""
    return [hold.key for hold in HeldServers(workdir, workdir.name).current()]


#: Ask until it is so; Spoiled when it is not.
until = functools.partial(waiting.until, error=Spoiled)


def keep(cluster: Cluster, workdir: Path, name: str) -> Path:
    """Copy what tells what happened: the manager's log, journals and recordings, and the servers' own logs."""
    into = OUTPUT / name
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for path in _of_interest(cluster, workdir):
        shutil.copy(path, into / path.name)
    for host in cluster.hosts:
        log = host.upper / "var" / "log" / "mysqld.err"
        if log.exists():
            shutil.copy(log, into / f"{host.name}.mysqld.err")
    return into


def _of_interest(cluster: Cluster, workdir: Path) -> Iterator[Path]:
    for pattern in ("manager.log", "*.journal", "*.jsonl", "*.ledger.json"):
        yield from workdir.glob(pattern)
    for pattern in ("acks-*.jsonl", "observed-*.jsonl"):
        yield from cluster.directory.glob(pattern)
    yield from cluster.seat.glob("monitor.out")
