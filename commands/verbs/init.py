"""`mha init`: a working set of files in a directory of the user's, and what is to be done with it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ...config import ConfigError
from ...config.editing.starter import PROGRAM, StarterFile, Wanted, host_and_port, reference_files, starter_files
from ...config.state import state_directory
from ...replication.local.own_commands import directories

app = typer.Typer()

#: Who may look at the directory itself: a worker of Prefect's reads the configuration, and may be another user.
MODE = 0o755


@app.command(epilog="Example: `mha init /etc/mha --name app1 --host db1 --host db2 --host db3`")
def init(
    directory: Annotated[Path, typer.Argument(help="Where the files go; made when it is not there.")] = Path(),
    name: Annotated[str, typer.Option(help="The application: one primary and its replicas.")] = "app1",
    host: Annotated[
        list[str] | None, typer.Option(help="A server of it, db1 or db1:3307; again for each further one.")
    ] = None,
    manager_host: Annotated[
        str | None,
        typer.Option(help="This host as the servers see it, for the manager's account; else its name."),
    ] = None,
    docs: Annotated[bool, typer.Option("--docs", help="Write the documentation and all examples, too.")] = False,
) -> None:
    """Write what a first user needs into a directory: configuration, secrets, accounts, systemd units, Prefect's files.

    No file is overwritten.
    """
    place = Path(os.path.abspath(directory))  # noqa: PTH100 - resolve() would follow links, and name what nobody typed
    root = os.geteuid() == 0
    state = state_directory() / name
    wanted = Wanted(
        directory=place,
        name=name,
        hosts=tuple(host_and_port(each) for each in host or ("db1", "db2", "db3")),
        manager=host_and_port(manager_host or _own_name())[0],
        state=state,
        log=Path(f"/var/log/mha/{name}.log") if root else state / f"{name}.log",
        program=next((f"{each}/mha" for each in directories() if Path(each, "mha").is_file()), PROGRAM),
    )
    files = [*starter_files(wanted), *(reference_files() if docs else ())]
    written, kept = write(place, files)
    print(f"Wrote {len(written)} files in {place}:")
    shown: set[str] = set()
    for file in written:
        entry = file.path.partition("/")[0] + ("/" if "/" in file.path else "")
        if entry not in shown:
            shown.add(entry)
            print(f"  {entry:<24} {file.what}")
    for path in kept:
        print(f"  {path:<24} was there already, and is kept as it is")
    if "prefect.yaml" in kept:
        print(f"Add {name} to prefect.yaml as {place}/prefect.yaml has the first one, or use `mha serve`.")
    print(next_steps(wanted))


def _own_name() -> str:
    """The name of this host that others know, if there is one."""
    name = socket.getfqdn()
    return socket.gethostname() if name.startswith("localhost") else name


def write(directory: Path, files: Sequence[StarterFile]) -> tuple[list[StarterFile], list[str]]:
    """Write them; returns who was written, and the paths of the shared ones that were there and are kept.

    Raises ConfigError, with nothing written, when a file of the application is there, and OSError.
    """
    there = [file for file in files if os.path.lexists(directory / file.path)]
    if own := [file.path for file in there if file.belongs]:
        raise ConfigError(
            f"{', '.join(own)} {'is' if len(own) == 1 else 'are'} there already, so nothing was written; "
            "choose another --name or directory",
            file=directory,
        )
    written = [file for file in files if file not in there]
    for file in written:
        target = directory / file.path
        target.parent.mkdir(mode=MODE, parents=True, exist_ok=True)
        # O_EXCL follows no link: what somebody put there meanwhile is an error, and is not written to.
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(file.text)
    return written, [file.path for file in there]


def next_steps(wanted: Wanted) -> str:
    """What a first user does now, in the order in which it is done."""
    place, name = wanted.directory, wanted.name
    conf, first = f"{place}/{name}.cnf", wanted.hosts[0][0]
    hosts = " ".join(dict.fromkeys(host for host, _ in wanted.hosts))
    return f"""Next:
  1. Look at the hosts and directories in {conf}.
  2. Make the manager's accounts on the primary: mysql -h {first} -u root -p <{place}/{name}.sql
  3. Write the password of the replication account into {place}/{name}.repl.password .
  4. Let SSH in, and know the hosts' keys: ssh-keyscan {hosts} >>~/.ssh/known_hosts
  5. Check: masterha_check_ssh --conf={conf} && masterha_check_repl --conf={conf}
  6. Watch: cp {place}/mha@.service /etc/systemd/system/ && systemctl enable --now mha@{name}"""
