"""The server's own client programs on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ...binlog.reader import LogReader
from ...errors import LogError


@dataclass(frozen=True)
class Client:
    """The client programs: their directory and that of their libraries, None for what the path says."""

    bindir: str | None = None
    libdir: str | None = None

    def program(self, *names: str) -> str:
        """The first of these programs that is there. Raises LogError."""
        for name in names:
            for directory in (self.bindir, None):
                found = shutil.which(name, path=directory) if directory else shutil.which(name)
                if found:
                    return found
        raise LogError(f"none of the programs {', '.join(names)} is here; name their directory with --client_bindir")

    def environment(self) -> dict[str, str]:
        """This process's environment, with the libraries in it."""
        return {**os.environ, **({"LD_LIBRARY_PATH": self.libdir} if self.libdir else {})}

    def reader(self, vendor: str) -> str:
        """mysqlbinlog of that vendor."""
        return self.program(*(("mariadb-binlog",) if vendor == "mariadb" else ()), "mysqlbinlog")

    def client(self, vendor: str) -> str:
        """mysql of that vendor."""
        return self.program(*(("mariadb",) if vendor == "mariadb" else ()), "mysql")


def write_text(log: Path, client: Client, out: IO[bytes], *, disable_log_bin: bool) -> None:
    """Write a log as the statements that mysqlbinlog makes of it. Raises LogError."""
    with log.open("rb") as stream:
        vendor = LogReader(stream, name=log.name).format.vendor
    words = [client.reader(vendor), "--no-defaults", *(["--disable-log-bin"] if disable_log_bin else []), str(log)]
    done = subprocess.run(  # noqa: S603 - words, no shell
        words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, env=client.environment(), check=False
    )
    if done.returncode:
        raise LogError(f"{words[0]} ended with {done.returncode}: {last_line(done.stderr.decode('utf-8', 'replace'))}")


def last_line(text: str) -> str:
    """The first line that tells of an error, else the last one."""
    lines = [line for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "it said nothing")
