"""Make sure that the mysqld that was declared dead does not serve again, through SSH on its own host.

One small shell script does it, because every round trip counts and because it must work on any Linux with nothing
installed: it stops what would start mysqld again (systemd, mysqld_safe), kills a mysqld that hangs, and tells what it
found, line by line, as ``key value``.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass

from config import ServerConfig
from replication.errors import DeadlineExceeded, HostError
from replication.ssh import SshHost

# A process belongs to the instance when it is a mysqld that listens on the port, or one that listens on no TCP port
# yet (starting, recovering) and was not started for another port. Supervisors go first, or they would restart it.
_SCRIPT = r"""
port=$1; pidfile=$2
mine() {
  for f in $(grep -lxE 'mysqld|mariadbd' /proc/[0-9]*/comm 2>/dev/null); do
    d=${f%/comm}; p=${d#/proc/}
    read -r _ _ st _ 2>/dev/null <"$d/stat" || continue
    [ "$st" = Z ] && continue
    if [ -n "$listeners" ]; then
      theirs=$(printf '%s\n' "$listeners" | grep -F "pid=$p,")
      if [ -n "$theirs" ]; then
        printf '%s\n' "$theirs" | grep -Eq "[:.]$port[[:space:]]" || continue
        echo "$p"; continue
      fi
    fi
    other=$(tr '\0' '\n' 2>/dev/null <"$d/cmdline" | sed -n 's/^--port=//p' | tail -1)
    [ -n "$other" ] && [ "$other" != "$port" ] && continue
    echo "$p"
  done
}
look() { listeners=$(ss -Hltnp 2>/dev/null); pids=$(mine); }
look
if [ -s "$pidfile" ]; then p=$(cat "$pidfile" 2>/dev/null)
  case $(cat "/proc/$p/comm" 2>/dev/null) in mysqld|mariadbd) pids="$pids $p" ;; esac; fi
if [ -d /run/systemd/system ]; then
  units=""
  for p in $pids; do units="$units $(sed -n 's#.*/\([^/]*\.service\).*#\1#p' "/proc/$p/cgroup" 2>/dev/null | head -1)"; done
  if [ -z "$(echo $units)" ]; then
    for u in mysql mysqld mariadb; do
      case $(systemctl show -p ActiveState --value "$u" 2>/dev/null) in active|activating|failed) units="$units $u.service" ;; esac
    done
  fi
  for u in $(printf '%s\n' $units | sort -u); do
    systemctl mask --runtime "$u" >/dev/null 2>&1 && echo "masked $u"
  done
fi
for f in $(grep -alE '(mysqld|mariadbd)[_-]safe' /proc/[0-9]*/cmdline 2>/dev/null); do
  d=${f%/cmdline}
  other=$(tr '\0' '\n' 2>/dev/null <"$d/cmdline" | sed -n 's/^--port=//p' | tail -1)
  [ -n "$other" ] && [ "$other" != "$port" ] && continue
  kill -9 "${d#/proc/}" 2>/dev/null && echo "supervisor ${d#/proc/}"
done
look
for p in $pids; do kill -9 "$p" 2>/dev/null && echo "killed $p"; done
i=0
while look; [ -n "$pids" ] && [ $i -lt 100 ]; do sleep 0.05; i=$((i+1)); done
for p in $pids; do echo "left $p"; done
printf '%s\n' "$listeners" | grep -Eq "[:.]$port[[:space:]]" && echo "listening $port"
echo done
"""


@dataclass(frozen=True)
class Fenced:
    """What was done on the dead primary's host. ``sure`` means that no mysqld of the instance runs there now.

    ``killed`` and ``supervisors`` are process ids, ``masked`` systemd units that a person must unmask later
    (``systemctl unmask --runtime UNIT``). ``cannot`` says in words why nothing could be proven.
    """

    sure: bool
    killed: tuple[int, ...] = ()
    supervisors: tuple[int, ...] = ()
    masked: tuple[str, ...] = ()
    cannot: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        if not self.sure:
            return f"not fenced: {self.cannot}"
        told = [f"killed mysqld {', '.join(map(str, self.killed))}"] if self.killed else ["no mysqld runs there"]
        if self.supervisors:
            told.append(f"stopped its supervisor {', '.join(map(str, self.supervisors))}")
        if self.masked:
            told.append(f"masked {', '.join(self.masked)} until the next boot")
        return ", ".join(told)


def fence(host: SshHost, server: ServerConfig, *, timeout: float = 15.0) -> Fenced:
    """Fence one instance; safe to repeat. An unreachable host is an answer (``sure`` is False), not an exception."""
    began = time.monotonic()
    command = f"sh -s -- {server.port} {shlex.quote(server.master_pid_file or '/nonexistent')}"
    try:
        result = host.run(
            command, action="make sure that mysqld does not serve again", timeout=timeout, stdin=_SCRIPT.encode()
        )
    except (HostError, DeadlineExceeded) as error:
        return Fenced(False, cannot=str(error), seconds=time.monotonic() - began)
    return _read(result.stdout, time.monotonic() - began)


def _read(output: str, seconds: float) -> Fenced:
    told = [line.split(maxsplit=1) for line in output.splitlines() if line.strip()]
    by_key: dict[str, list[str]] = {}
    for key, *rest in told:
        by_key.setdefault(key, []).extend(rest)
    left = by_key.get("left", []) + (["a listener"] if "listening" in by_key else [])
    finished = "done" in by_key
    return Fenced(
        sure=finished and not left,
        killed=tuple(int(p) for p in by_key.get("killed", [])),
        supervisors=tuple(int(p) for p in by_key.get("supervisor", [])),
        masked=tuple(by_key.get("masked", [])),
        cannot="" if finished and not left else f"still there after kill -9: {', '.join(left) or 'unknown'}",
        seconds=seconds,
    )
