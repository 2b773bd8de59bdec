"""Try the Dockerfile and compose.yaml with podman: build, start, kill the primary's container, and count what is lost.

Runs as far as a machine without an image registry, without systemd and with old control groups can: where Debian's
image cannot be pulled it is made with debootstrap. ``python -m tests.lab.containers``; root, Debian. What is built
stays in a store of its own beside the lab's images.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.lab import images
from tests.lab.cluster import HOUSE

BASE = "docker.io/library/debian:bookworm-slim"
OWN_BASE, MANAGER, DATABASE = "localhost/debian:bookworm-slim", "localhost/prefect-mha", "localhost/prefect-mha-db"
PROGRAMS = ("podman", "buildah", "podman-compose", "debootstrap", "iptables", "nsenter")
CA = Path("/etc/ssl/certs/ca-certificates.crt")
#: Seconds for all to be up, and for another server to take writes.
UP, OVER = 300.0, 60.0
_STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{0}/storage"\nrunroot = "{0}/run"\n'
#: No control groups to limit, no capability to raise limits, nobody who keeps a journal.
_CONTAINERS = """\
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=16384:16384", "nproc=8192:8192"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def main() -> int:
    """All of it, or with ``inside`` what runs in namespaces of its own."""
    if sys.argv[1:] == ["inside"]:
        return inside()
    if lacks := [name for name in PROGRAMS if shutil.which(name) is None]:
        print(f"This needs {', '.join(lacks)}: apt-get install {' '.join(lacks)}", file=sys.stderr)
        return 2
    place = images.CACHE / "containers"
    place.mkdir(parents=True, exist_ok=True)
    (place / "storage.conf").write_text(_STORAGE.format(place))
    (place / "containers.conf").write_text(_CONTAINERS)
    os.environ["CONTAINERS_STORAGE_CONF"] = str(place / "storage.conf")
    base = base_image(place)
    for image, target in ((MANAGER, "manager"), (DATABASE, "database")):
        began = time.monotonic()
        build(image, target, base)
        size = said("podman", "image", "inspect", "-f", "{{.Size}}", image)
        print(f"{image}: {int(size) / 1e6:.0f} MB, built in {time.monotonic() - began:.0f} s", flush=True)
    os.environ["CONTAINERS_CONF"] = str(place / "containers.conf")
    words = ["unshare", "-m", "-n", "--propagation", "private", sys.executable, "-m", "tests.lab.containers", "inside"]
    return subprocess.run(words, check=False, cwd=HOUSE).returncode


def base_image(place: Path) -> str:
    """Debian's image from a registry, else one of our own."""
    if subprocess.run(["podman", "image", "exists", OWN_BASE], check=False).returncode == 0:
        return OWN_BASE
    pulled = subprocess.run(
        ["timeout", "60", "podman", "pull", "-q", BASE], capture_output=True, text=True, check=False
    )
    if pulled.returncode == 0:
        return BASE
    print(f"{BASE} cannot be pulled, so it is made here: {pulled.stderr.strip().splitlines()[-1:]}", flush=True)
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        root = Path(scratch) / "root"
        include = "--include=ca-certificates"
        run("debootstrap", "--variant=minbase", include, "bookworm", str(root), images.mirror())
        run("sh", "-c", f"rm -rf {root}/var/cache/apt/archives/*.deb {root}/var/lib/apt/lists/*")
        run("sh", "-c", f"tar -C {root} -c . | podman import -q - {OWN_BASE}")
    return OWN_BASE


def build(image: str, target: str, base: str) -> None:
    """One target of the Dockerfile. A machine behind a proxy of its own has its authority's certificate mounted."""
    trust = ["-v", f"{CA}:{CA}:ro", "--env", f"PIP_CERT={CA}", "--unsetenv", "PIP_CERT"] if CA.exists() else []
    options = ["--isolation", "chroot", "--network", "host", "--format", "docker", "--layers"]
    run(
        "buildah", "build", *options, *trust, "--build-arg", f"BASE={base}", "--target", target, "-t", image, str(HOUSE)
    )


def inside() -> int:
    """In a network and a view of mounts of its own: start, kill, look."""
    with null_as_before():
        return looked_at()


@contextlib.contextmanager
def null_as_before() -> Iterator[None]:
    """A runtime may give a command's standard input to its container's user, and /dev/null is all the machine's."""
    null = Path(os.devnull)
    before = null.stat()
    try:
        yield
    finally:
        os.chown(null, before.st_uid, before.st_gid)
        null.chmod(stat.S_IMODE(before.st_mode))


def looked_at() -> int:
    """Started, killed, compared; 0 where all is well."""
    run("mount", "-t", "cgroup2", "none", "/sys/fs/cgroup")
    run("ip", "link", "set", "lo", "up")
    compose = ["podman-compose", "-f", str(HOUSE / "compose.yaml"), "-p", "mhatest"]
    began = time.monotonic()
    try:
        run(*compose, "up", "-d")
        print(f"up: {time.monotonic() - began:.1f} s")
        until(lambda: status() == 0, UP, "the manager does not get PING_OK")
        print(f"PING_OK (the image's health check passes): {time.monotonic() - began:.1f} s after the start")
        health = subprocess.run(["podman", "healthcheck", "run", "mha_manager"], check=False, input=b"").returncode
        print(f"podman healthcheck run: {health}")
        sql("mha_db1", "CREATE TABLE app.t (id INT PRIMARY KEY)")
        acknowledged = writes(500)
        killed = time.monotonic()
        run("podman", "kill", "mha_db1")
        until(lambda: writable("mha_db2"), OVER, "nobody takes writes")
        print(f"podman kill of the primary: another one takes writes after {time.monotonic() - killed:.1f} s")
        until(lambda: status() == 0, OVER, "the manager does not watch the new primary")
        # What the seconds went into.
        print(said("podman", "exec", "mha_manager", "mha", "report", "--last", "--conf=/shared/app1.cnf"), flush=True)
        rows = int(sql("mha_db2", "SELECT COUNT(*) FROM app.t"))
        until(lambda: int(sql("mha_db3", "SELECT COUNT(*) FROM app.t")) == rows, OVER, "db3 does not follow")
        print(f"rows acknowledged {acknowledged}, on the new primary {rows}, on its replica {rows}")
        user = said("podman", "exec", "mha_manager", "id", "-un")
        # Its server may take longer to begin than all of that; what waits for it is on the manager's disk.
        until(lambda: bool(flow_runs()), UP, "Prefect's API does not answer")
        print(f"the manager runs as {user}; Prefect has {flow_runs()} flow runs")
        return int(rows < acknowledged or health != 0 or user != "mha")
    except BaseException:
        subprocess.run(["podman", "logs", "--tail", "30", "mha_manager"], check=False)
        subprocess.run(["podman", "logs", "--tail", "10", "mha_db1"], check=False)
        raise
    finally:
        subprocess.run([*compose, "down", "-v", "-t", "5"], check=False, input=b"", stdout=subprocess.DEVNULL)


def writes(rows: int) -> int:
    """That many rows, each in a transaction of its own; returns how many were acknowledged."""
    each = ";".join(f"INSERT INTO app.t VALUES ({number})" for number in range(rows))
    sql("mha_db1", each)
    return rows


def flow_runs() -> str:
    """How many flow runs the Prefect server knows; empty while it does not answer."""
    asked = (
        "import urllib.request as u; "
        "print(u.urlopen(u.Request('http://prefect:4200/api/flow_runs/count', b'{}', "
        "{'Content-Type': 'application/json'})).read().decode())"
    )
    words = ["podman", "exec", "mha_manager", "/opt/mha/bin/python", "-c", asked]
    return subprocess.run(words, check=False, capture_output=True, text=True, timeout=120, input="").stdout.strip()


def status() -> int:
    words = ["podman", "exec", "mha_manager", "masterha_check_status", "--conf=/shared/app1.cnf"]
    return subprocess.run(words, check=False, capture_output=True, input=b"").returncode


def sql(container: str, statement: str) -> str:
    return said("podman", "exec", container, "mariadb", "-N", "-e", statement)


def writable(container: str) -> bool:
    return sql(container, "SELECT @@read_only") == "0"


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            raise TimeoutError(what)
        time.sleep(0.1)


def said(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=120, input="").stdout.strip()


def run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True, input="")
    if done.returncode:
        told = (done.stdout + done.stderr).strip().splitlines()[-15:]
        raise RuntimeError("\n".join([f"{' '.join(words[:3])}: exit {done.returncode}", *told]))


if __name__ == "__main__":
    sys.exit(main())
