"""`mha init`: a working set of files in a directory of the user's, and what is to be done with it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...config import ConfigError
from ...config.editing.starter import PROGRAM, StarterFile, Wanted, host_and_port, reference_files, starter_files
from ...config.state import state_directory
from ...replication.local.own_commands import directories
from ..shared import asking
from ..views.terminal import print_visible

if TYPE_CHECKING:
    from ...replication.cluster.members import Members
    from .set_up.from_server import Admin, Agreed

app = typer.Typer()

#: Who may look at the directory itself: a worker of Prefect's reads the configuration, and may be another user.
MODE = 0o755


@app.command(
    epilog="Example: `mha init /etc/mha --name app1 --from db1 --scan`, or `mha init /etc/mha --host db1 --host db2`"
)
def init(
    directory: Annotated[Path, typer.Argument(help="Where the files go; made when it is not there.")] = Path(),
    name: Annotated[str, typer.Option(help="The application: one primary and its replicas.")] = "app1",
    host: Annotated[list[str] | None, typer.Option(help="A server of it, db1 or db1:3307; repeat it for each.")] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="A running server, db1 or db1:3307, that is asked who its replicas are; instead of --host. The "
            "manager's accounts are made there, and everything is checked.",
        ),
    ] = None,
    user: Annotated[str, typer.Option(help="With --from: who asks, and creates the manager's account.")] = "root",
    password: Annotated[
        str | None, typer.Option(help="Its password, env:NAME or file:/path; asked for when not given.")
    ] = None,
    repl_password: Annotated[
        str | None,
        typer.Option(help="With --from: the password that replicas log in with, in the same forms; asked for, too."),
    ] = None,
    account: Annotated[str, typer.Option(help="Name of the manager's account on the servers.")] = "mha",
    ssh_user: Annotated[str, typer.Option(help="The user for SSH to the hosts.")] = "root",
    scan: Annotated[
        bool, typer.Option("--scan", help="With --from: show new host keys, and add them to known_hosts when told to.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --from: ask nothing, every answer is yes.")] = False,
    manager_host: Annotated[
        str | None,
        typer.Option(help="This host as the servers see it, for the manager's account; else its name."),
    ] = None,
    docs: Annotated[bool, typer.Option("--docs", help="Write the documentation and all examples, too.")] = False,
) -> None:
    """Write what a first user needs into a directory: configuration, secrets, accounts, systemd units, Prefect's files.

    No file is overwritten.
    """
    if from_ is not None and host:
        raise ConfigError("--from asks a server who its replicas are, --host names them: give one of the two")
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
        ssh_user=ssh_user,
        account=account,
    )
    if from_ is None:
        _write(wanted, docs=docs)
        print(next_steps(wanted))
        return
    from .set_up import from_server

    agreed = (lambda _: True) if yes else asking.agreed
    admin = from_server.Admin(user, from_server.secret("--password", password, f"Password of {user} at {from_}: "))
    members = from_server.ask_servers(*host_and_port(from_), admin, agreed)
    typed = from_server.secret(
        "--repl-password",
        repl_password,
        f"Password of {members.replication_user or 'the account'} that replicas use (Enter: they keep theirs): ",
    )
    found = from_server.found_in(members, wanted, typed.get_secret_value(), wanted.manager if manager_host else None)
    wanted = replace(wanted, hosts=from_server.hosts_of(members), found=found)
    _write(wanted, docs=docs)
    raise SystemExit(_go_on(wanted, members, admin, agreed, scan=scan))


def _go_on(wanted: Wanted, members: Members, admin: Admin, agreed: Agreed, *, scan: bool) -> int:
    """Accounts, host keys, checks; prints what is left, and returns 0 when the checks found nothing."""
    from ...config import load_cluster
    from ..shared.checking import Asked, check
    from ..shared.options import DEFAULT_GLOBAL_CONF
    from .set_up.from_server import make_accounts
    from .set_up.host_keys import learn_host_keys

    place, name = wanted.directory, wanted.name
    conf, statements = place / f"{name}.cnf", place / f"{name}.sql"
    left: list[str] = []
    print("The manager's accounts, with the password of " + str(place / f"{name}.password") + ":")
    for statement in wanted.found.statements if wanted.found else ():
        print_visible("  " + statement.replace(wanted.password, "…"))
    made = agreed(f"Make them on {members.primary.state.name}?")
    if made:
        make_accounts(members, wanted, admin)
        statements.unlink()
    else:
        left.append(f"Make the accounts: mysql -h {members.primary.host} -u {admin.user} -p <{statements}")
    keys = f"Know the hosts' keys: {_keyscan(wanted)} (or with --scan)"
    if scan:
        trouble = learn_host_keys(load_cluster(conf, DEFAULT_GLOBAL_CONF), agreed)
        left += [f"{keys}: {trouble}"] if trouble else []
    else:
        left.append(keys)
    checked = check(conf, DEFAULT_GLOBAL_CONF, Asked()) if made else 0
    if checked or not made:
        left.append(f"Check again: masterha_check_repl --conf={conf}")
    if wanted.found is not None and not wanted.found.repl_password:
        left.append(
            "For an old primary that is to become a replica: the replication account's password into "
            f"{place}/{name}.repl.password, and repl_password in {conf} without its #."
        )
    left.append(_watch(wanted))
    print("\n".join(["What is left:", *(f"  {number}. {each}" for number, each in enumerate(left, 1))]))
    return checked


def _write(wanted: Wanted, *, docs: bool) -> None:
    """Write the files, and say which."""
    place, name = wanted.directory, wanted.name
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
    return f"""Next:
  1. Look at the hosts and directories in {conf}.
  2. Make the manager's accounts on the primary: mysql -h {first} -u root -p <{place}/{name}.sql
  3. Write the password of the replication account into {place}/{name}.repl.password .
  4. Let SSH in, and know the hosts' keys: {_keyscan(wanted)}
  5. Check: masterha_check_ssh --conf={conf} && masterha_check_repl --conf={conf}
  6. {_watch(wanted)}"""


def _keyscan(wanted: Wanted) -> str:
    hosts = " ".join(dict.fromkeys(host for host, _ in wanted.hosts))
    return f"ssh-keyscan {hosts} >>~/.ssh/known_hosts"


def _watch(wanted: Wanted) -> str:
    place = wanted.directory
    return f"Watch: cp {place}/mha@.service /etc/systemd/system/ && systemctl enable --now mha@{wanted.name}"
