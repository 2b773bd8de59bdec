"""Can this machine run real servers? One clear sentence and exit 2 when not; what is missing from Debian is installed.

Runs on the standard library alone, before anything else is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: What must be on the path, and the Debian package that brings it.
NEEDED = {
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "ssh-keygen": "openssh-client",
    "/usr/sbin/sshd": "openssh-server",
    "pgrep": "procps",
    "unshare": "util-linux",
    "npm": "npm",
}


def give_up(sentence: str) -> None:
    """Say why, and leave."""
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def main() -> None:
    """Check, then install."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file also runs where the project cannot
        give_up(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; name one with make PYTHON=python3.12."
        )
    if sys.platform != "linux" or os.geteuid() != 0:
        give_up("The lab of real servers needs root on Linux: it makes network namespaces and mounts. Try: sudo make.")
    release = Path("/etc/os-release")
    if not release.exists() or "debian" not in release.read_text():
        give_up(
            "The lab of real servers is built from Debian packages, so it needs Debian; make test-fast runs anywhere."
        )
    missing = [package for program, package in NEEDED.items() if not _there(program)]
    if not _has_venv():
        missing.append("python3-venv")
    if missing:
        install(missing)


def _there(program: str) -> bool:
    if program.startswith("/"):
        return Path(program).exists()
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _has_venv() -> bool:
    return (
        subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode
        == 0
    )


def install(packages: list[str]) -> None:
    """Debian packages; leaves with one sentence when they cannot be had."""
    print(f"installing from Debian: {' '.join(packages)}", file=sys.stderr, flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"]
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", *options, *words], env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            give_up(f"Debian's packages cannot be reached or installed (apt-get {words[0]}): {' '.join(last)}")


if __name__ == "__main__":
    main()
