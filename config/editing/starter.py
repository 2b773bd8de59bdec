"""What the first user of a directory gets: a configuration, the files of its secrets, units, Prefect's files.

Each is a file that the package brings (`config/examples`, `docs`, `prefect.yaml`), with the names that were asked for
in place of the example's.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError

#: Where the package's files are: the checkout, or the installed package.
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "config" / "examples"
#: The application and the directory that the examples name, and where they look for programs.
APP, DIRECTORY, PROGRAM = "app1", "/etc/mha", "/opt/mha/bin/mha"
SERVICES = {
    "mha@.service": "systemd: the manager of one application",
    "mha-monitor.service": "systemd: one process for the managers of all",
    "mha-binlog@.service": "systemd: a binlog server",
    "mha-worker.service": "systemd: a worker of Prefect's",
    "mha.logrotate": "logrotate: the managers' logs",
}
PRIVATE, PUBLIC, PROGRAM_MODE = 0o600, 0o644, 0o755

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_DIRECTORY = re.compile(r"/[\w./@+-]*", re.ASCII)
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*))(?::(?P<port>[0-9]{1,5}))?")
#: The example's servers, up to what comes behind them.
_SERVERS = re.compile(r"^\[server1\].*?(?=^# A host that keeps)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class StarterFile:
    """One file, ``path`` below the directory. What ``belongs`` to the application must not be there yet; of what all
    applications of a directory share, the one that is there is kept.
    """

    path: str
    text: str
    what: str = ""
    mode: int = PUBLIC
    belongs: bool = False


@dataclass(frozen=True)
class Found:
    """What running servers told of a cluster. ``more`` are lines for the blocks of servers, by their place in the list.

    ``statements`` make the manager's accounts there; they hold its password. ``repl_password`` is the replicas', empty
    where it was not told: then each keeps the one that it has.
    """

    log_directories: tuple[str, ...]
    repl_user: str
    more: tuple[tuple[str, ...], ...]
    statements: tuple[str, ...] = field(repr=False)
    repl_password: str = field(repr=False, default="")


@dataclass(frozen=True)
class Wanted:
    """What `mha init` was asked for. ``manager`` is the manager's host as the servers see it, ``program`` our `mha`.

    ``account`` is the manager's on the servers, ``password`` its password, by chance.
    """

    directory: Path
    name: str
    hosts: tuple[tuple[str, int | None], ...]
    manager: str
    state: Path
    log: Path
    program: str = PROGRAM
    ssh_user: str = "root"
    account: str = "mha"
    password: str = field(repr=False, default_factory=lambda: new_password())
    found: Found | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"{self.name!r} is no name for an application; use letters, digits, and behind the first '_.-'"
            )
        if not _NAME.fullmatch(self.account):
            raise ConfigError(f"{self.account!r} is no name for the manager's account; use letters, digits and '_.-'")
        for path in (self.directory, self.state, self.log, Path(self.program)):
            if not _DIRECTORY.fullmatch(str(path)):
                raise ConfigError(f"{str(path)!r} cannot stand in a unit; use a path of letters, digits and ./_@+-")
        if len(set(self.hosts)) != len(self.hosts):
            raise ConfigError("a host is named twice; each --host is one server of the cluster")


def host_and_port(text: str) -> tuple[str, int | None]:
    """``db1``, ``db1:3307``, ``[fd00::1]:3306``. Raises ConfigError."""
    found = _HOST.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or not 0 < (port or 1) < 65536:
        raise ConfigError(f"{text!r} is no host; write db1, db1:3307 or [fd00::1]:3306")
    return found["v6"] or found["host"], port


def starter_files(wanted: Wanted) -> Iterator[StarterFile]:
    """A working set for one application, in the order in which a person looks at it."""
    name, told = wanted.name, wanted.found.repl_password if wanted.found else ""
    replicas = (told + "\n", "the replication account's password") if told else ("", "empty: for that of the replicas")
    own = (
        ("cnf", configuration(wanted), "the cluster and its servers"),
        ("password", wanted.password + "\n", "the manager's password, made by chance"),
        ("repl.password", *replicas),
        ("sql", accounts(wanted), "the manager's accounts, for the primary"),
    )
    for ending, text, what in own:
        yield StarterFile(f"{name}.{ending}", text, what, PRIVATE, belongs=True)
    for file, what in SERVICES.items():
        yield StarterFile(file, _renamed(_text(EXAMPLES / file), wanted), what)
    yield StarterFile("prefect.yaml", deployments(wanted), "Prefect: the deployments")
    for path in sorted((ROOT / "docs" / "automations").glob("*.yaml")):
        text = _text(path).replace("docs/automations/", f"{wanted.directory}/automations/")
        yield StarterFile(f"automations/{path.name}", text, "Prefect: automations")
    for folder, what in (("man", "manual pages: man -l man/mha.1"), ("completion", "for bash, zsh and fish")):
        for path in sorted((ROOT / "docs" / folder).iterdir()):
            yield StarterFile(f"{folder}/{path.name}", _text(path), what)


def reference_files() -> Iterator[StarterFile]:
    """The documentation, and every example as it is."""
    for folder, to in ((ROOT / "docs", "docs"), (EXAMPLES, "examples")):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                mode = PROGRAM_MODE if path.suffix == ".sh" else PUBLIC
                yield StarterFile(f"{to}/{path.relative_to(folder)}", _text(path), to, mode)


def configuration(wanted: Wanted) -> str:
    """The example's text with this application's name, directory and servers."""
    example = _renamed(_text(EXAMPLES / f"{APP}.cnf"), wanted)
    example = _set(_set(example, "ssh_user", wanted.ssh_user), "user", wanted.account)
    found = wanted.found
    if found is None:
        return _SERVERS.sub(lambda _: _blocks(wanted.hosts), example)
    if found.log_directories:
        example = _set(example, "master_binlog_dir", ",".join(found.log_directories))
    if found.repl_user:
        example = _set(example, "repl_user", found.repl_user)
    if not found.repl_password:
        example = re.sub(r"(?m)^(?=repl_password=)", "#", example)
    return _SERVERS.sub(lambda _: _blocks(wanted.hosts, found.more), example)


def _set(text: str, key: str, value: str) -> str:
    """With another value in the line of that key. Raises ConfigError for one that no such line can hold."""
    if not value.isprintable() or set(value) & set("#;\"'") or value != value.strip():
        raise ConfigError(f"{value!r} cannot stand in a configuration as it is: write {key} by hand")
    return re.sub(rf"(?m)^{key}=.*$", lambda _: f"{key}={value}", text)


def accounts(wanted: Wanted) -> str:
    """The statements that make the manager's accounts: from its own host, and from each database host."""
    if wanted.found is not None:
        return "-- The manager's accounts, for the primary. It holds the password: remove it afterwards.\n" + "".join(
            f"{statement};\n" for statement in wanted.found.statements
        )
    name, password = wanted.account, wanted.password
    hosts = dict.fromkeys((wanted.manager, *(host for host, _ in wanted.hosts)))
    return """\
-- The manager's accounts. Run this on the primary; replication brings them to the replicas.
-- It holds the password: remove it afterwards.
-- A host stands here as the servers see it: by its address where they resolve no names (skip_name_resolve=1).
-- The manager connects from the first one. On each other host the check, and a rescue's last way, log in to its server.
""" + "".join(
        f"CREATE USER '{name}'@'{host}' IDENTIFIED BY '{password}';\nGRANT ALL ON *.* TO '{name}'@'{host}';\n"
        for host in hosts
    )


def deployments(wanted: Wanted) -> str:
    """`prefect.yaml` for this application, whose name is text in YAML, ``1e3`` and ``no`` too."""
    text = re.sub(rf"(?m)^(\s*cluster: ){APP}$", lambda m: m[1] + json.dumps(wanted.name), _text(ROOT / "prefect.yaml"))
    return _renamed(text, wanted)


def new_password() -> str:
    """One of chance that the usual rules of servers accept: 32 letters, digits and a sign that needs no quotes."""
    while True:
        made = secrets.token_urlsafe(24)
        if all(re.search(kind, made) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[_-]")) and made[0] != "-":
            return made


def _blocks(hosts: Sequence[tuple[str, int | None]], more: Sequence[Sequence[str]] | None = None) -> str:
    blocks = []
    for number, (host, port) in enumerate(hosts, 1):
        lines = [f"[server{number}]", f"hostname={host}", *([f"port={port}"] if port else [])]
        if more is not None:
            lines += more[number - 1]
        elif number == 2:
            lines += ["# Preferred when the primary dies.", "#candidate_master=1"]
        elif number == 3:
            lines += ["# Never promoted, and may be late: for backups.", "#no_master=1"]
        blocks.append("\n".join(lines) + "\n\n")
    return "".join(blocks)


def _renamed(text: str, wanted: Wanted) -> str:
    """With what was asked for where the example has its own, in one pass: what was put in is not looked at again."""
    names = {
        f"/var/lib/mha/{APP}": str(wanted.state),
        f"/var/log/mha/{APP}.log": str(wanted.log),
        PROGRAM: wanted.program,
        f"{Path(PROGRAM).parent}/prefect": f"{Path(wanted.program).parent}/prefect",
        DIRECTORY: str(wanted.directory),
        APP: wanted.name,
    }
    return re.sub(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?![\w-])", lambda found: names[found[0]], text)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
