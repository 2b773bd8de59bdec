"""The manager's host as a machine with systemd: this machine's own root, booted in a container over a layer in memory.

It is in the network of a cluster's manager, so that the unit files that `mha init` writes can be tried as they are.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.cluster import HOUSE, Cluster
from tests.lab.network import sh

#: Seconds for it to boot, and for a command in it.
BOOT, COMMAND = 60.0, 120.0
_HIERARCHIES = (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"))

_SCRIPT = """\
set -e
{groups}
mount -t tmpfs tmpfs {top}
mkdir {top}/upper {top}/work {top}/root
mount -t overlay overlay -o lowerdir=/,upperdir={top}/upper,workdir={top}/work {top}/root
rm -rf {top}/root/etc/systemd/system/*.wants {top}/root/var/lib/mha {top}/root/var/log/mha
mkdir -p {top}/root/opt/mha/bin {top}/root/etc/mha
# What clears away would find what is lent to this machine.
for u in setup.service clean.service clean.timer; do
  ln -sf /dev/null {top}/root/etc/systemd/system/systemd-tmpfiles-$u
done
cp -a {files}/. {top}/root/
exec systemd-nspawn -q --boot --register=no --keep-unit --network-namespace-path=/run/netns/{netns} -D {top}/root \\
  --bind-ro={house}:/opt/house --bind={seat} --console=pipe --link-journal=no systemd.unit=basic.target
"""


def missing() -> str:
    """What this machine lacks for it; empty where it can be had."""
    lacks = [name for name in ("systemd-nspawn", "systemctl") if not sh(f"command -v {name}", check=False)]
    return f"no {', '.join(lacks)} here" if lacks else ""


class UnderSystemd:
    """A container with systemd, and what can be asked of it; ``directory`` is its own, on this machine."""

    def __init__(self, directory: Path) -> None:
        self._top = directory / "booted"
        named = "-".join(directory.parts[-2:])
        self._groups = [h / f"mha-{named}" for h in _HIERARCHIES if (h / "cgroup.procs").exists()]
        self._log = directory / "booted.log"
        self._pid = 0

    def _script(self) -> str:
        """What starts systemd-nspawn, in a mount namespace of its own."""
        raise NotImplementedError

    @property
    def _into_groups(self) -> str:
        return f"for h in {' '.join(map(str, self._groups))}; do mkdir -p $h && echo $$ >$h/cgroup.procs; done"

    def __enter__(self) -> Self:
        self._top.mkdir()
        with self._log.open("wb") as out:
            self._nspawn = subprocess.Popen(
                ["unshare", "-m", "--propagation", "private", "sh", "-c", self._script()],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        ends = time.monotonic() + BOOT
        while not self._is_up():
            if self._nspawn.poll() is not None or time.monotonic() > ends:
                self.__exit__(None, None, None)
                raise RuntimeError(f"it does not boot: {self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        return self

    def _is_up(self) -> bool:
        if not self._pid:
            children = sh(f"pgrep -P {self._nspawn.pid}", check=False).split()
            self._pid = int(children[0]) if children else 0
        return bool(self._pid) and self.run("systemctl is-active basic.target", check=False).strip() == "active"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.run("journalctl --no-pager -n 60", check=False))
        for pid in (self._pid, self._nspawn.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._nspawn.wait(20)
        ends = time.monotonic() + 5.0
        while time.monotonic() < ends and any(
            path.read_text() for g in self._groups for path in g.rglob("cgroup.procs")
        ):
            time.sleep(0.05)
        for group in self._groups:
            for each in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    each.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()

    def run(self, command: str, *, check: bool = True) -> str:
        """What a shell command on that machine prints."""
        return sh(f"nsenter -t {self._pid} -a sh -c {shlex.quote(command)}", check=check, timeout=COMMAND)

    def shows(self, unit: str, name: str) -> str:
        """A property of a unit, as systemd tells it."""
        return self.run(f"systemctl show -P {name} {unit}").strip()


class Booted(UnderSystemd):
    """``with Booted(cluster, {"etc/mha/app1.cnf": text}) as machine``: files are in its root before it boots."""

    def __init__(self, cluster: Cluster, files: dict[str, str]) -> None:
        super().__init__(cluster.directory)
        self._cluster = cluster
        program = (
            f'#!/bin/sh\nPYTHONPATH=/opt/house/src:/opt/house exec {sys.executable} -m prefect_mha.commands.mha "$@"\n'
        )
        self._files = {"opt/mha/bin/mha": program, **files}

    def _script(self) -> str:
        files = self._cluster.directory / "booted-files"
        for name, text in self._files.items():
            path = files / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755 if "/bin/" in name else 0o600 if "/etc/mha/" in f"/{name}" else 0o644)
        return _SCRIPT.format(
            groups=self._into_groups,
            top=self._top,
            files=files,
            netns=self._cluster.subnet.manager,
            house=HOUSE,
            seat=self._cluster.seat,
        )
