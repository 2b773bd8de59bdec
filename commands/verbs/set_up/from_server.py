"""A cluster as its own servers tell it, and the manager's accounts made there: for `mha init --from`."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ....config import ConfigError, ServerConfig
from ....config.editing.starter import Found, Wanted
from ....config.forms.raw import Value
from ....config.loader import resolve_host
from ....config.models import USUAL_PORT
from ....config.values import build, convert
from ...views.terminal import print_visible

if TYPE_CHECKING:
    from ....replication.cluster.members import Members

#: Seconds for replicas to have executed the statements that made the accounts.
ARRIVAL = 20.0

Agreed = Callable[[str], bool]


@dataclass(frozen=True)
class Admin:
    """The account with which servers are asked, and the manager's accounts are made."""

    user: str
    password: SecretStr

    def login(self, host: str, port: int) -> ServerConfig:
        """How it logs in there. Raises OSError for a name that has no address."""
        ip = resolve_host(host)
        place = {"hostname": host, "ip": ip, "port": port, "ssh_host": host, "ssh_ip": ip}
        return build(ServerConfig, {}, block="asked", user=self.user, password=self.password, **place)


def secret(option: str, given: str | None, prompt: str) -> SecretStr:
    """A password from ``env:NAME`` or ``file:/path``, else typed on the terminal; empty without either.

    Raises ConfigError for a password that stands on the command line, where everybody on this machine sees it.
    """
    if given is None:
        return SecretStr(getpass.getpass(prompt) if sys.stdin.isatty() else "")
    if not given.startswith(("env:", "file:", "prefect:")):
        raise ConfigError(f"{option} takes env:NAME or file:/path, for every user of this machine sees a command line")
    made: SecretStr = convert(ServerConfig, "password", Value(given, Path(option), None))
    return made


def ask_servers(host: str, port: int | None, admin: Admin, agreed: Agreed) -> Members:
    """Ask the server there who belongs to its cluster, and print what was found. Raises ServerError, OSError."""
    from ....replication.cluster.members import find_members

    def may(places: str) -> bool:
        print_visible(places)
        return agreed(f"Log in there as {admin.user}, with the same password?")

    members = find_members(host, port or USUAL_PORT, admin.login, may)
    for member in members.all:
        state = member.state
        role = "primary" if member is members.primary else f"replicates from {state.sources or 'nobody'}"
        print_visible(
            f"  {':'.join(map(str, member.place)):<28} {state.version_text}, server_id {state.server_id}, {role}"
        )
    for (name, at), why in members.unasked:
        print_visible(f"  {f'{name}:{at}':<28} could not be asked: {why}")
    for why in members.strangers:
        print_visible(f"  left out: {why}")
    if not members.replicas and not members.unasked:
        print("  nobody replicates from it: name replicas in the configuration, once there are any")
    return members


def found_in(members: Members, wanted: Wanted, repl_password: str, manager: str | None) -> Found:
    """What goes into the files. Accounts name addresses, which every server knows. Pure."""
    from ....replication.mysql.dialects import quote_name
    from ....replication.mysql.dialects.accounts import typed_account
    from ....replication.mysql.grants import account_statements

    state = members.primary.state
    managers = [manager] if manager else [member.manager for member in members.all]
    hosts = dict.fromkeys((*managers, *(member.ip for member in members.all)))
    directories = dict.fromkeys(member.log_directory for member in members.all if member.log_directory)
    more: list[tuple[str, ...]] = [
        () if m.state.log_bin else ("# It writes no binary log.", "no_master=1") for m in members.all
    ]
    more += [("# It could not be asked when this was written.",) for _ in members.unasked]
    return Found(
        log_directories=tuple(directories),
        repl_user=members.replication_user,
        more=tuple(more),
        statements=tuple(
            statement
            for host in hosts
            for statement in account_statements(
                typed_account(wanted.account, host), quote_name(wanted.password), state.vendor, state.version
            )
        ),
        repl_password=repl_password,
    )


def hosts_of(members: Members) -> tuple[tuple[str, int | None], ...]:
    """Every server of it as the configuration names it, the primary first."""
    places = (*(member.place for member in members.all), *(place for place, _ in members.unasked))
    return tuple((host, None if port == USUAL_PORT else port) for host, port in places)


def make_accounts(members: Members, wanted: Wanted, admin: Admin) -> None:
    """Run the statements on the primary, and wait until the manager's account is let in everywhere.

    Raises ServerError: of the statement that failed, or of the last server that does not let the account in.
    """
    from ....replication.mysql.server import Server

    assert wanted.found is not None
    server = Server(admin.login(*members.primary.place))
    try:
        for statement in wanted.found.statements:
            server.query(statement, action="make the manager's account")
    finally:
        server.close()
    manager = Admin(wanted.account, SecretStr(wanted.password))
    ends = time.monotonic() + ARRIVAL
    for member in members.all:
        _wait_for(manager.login(*member.place), ends)


def _wait_for(config: ServerConfig, ends: float) -> None:
    from ....replication.errors import AccessDenied
    from ....replication.mysql.server import Server

    while True:
        server = Server(config)
        try:
            server.connect()
            return
        except AccessDenied:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)
        finally:
            server.close()
