"""Each host over SSH: what a rescue and a fence need there. Pure. With GTIDs too: the rescue needs the same then."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname, join

from ....config import ServerConfig
from ...model.check import Check, Severity
from ...model.state import ServerState, Vendor
from ...mysql.dialects import program_version
from ..cluster.servers import CLOCK_SECONDS, clock_text
from ..facts import Facts, HostFacts, ManagerFacts, Program
from ..rule import Rule
from . import rights

#: Bytes: below the first nothing can be saved, below the second not much.
FULL, SCARCE = 64 << 20, 1 << 30

SSH = Rule(
    "ssh",
    "Does the manager get into every host over SSH as ssh_user?",
    "fix what the error names; try `ssh -p {port} {user}@{address}` as the user who runs this command",
)
SFTP = Rule(
    "sftp",
    "Can files be read over SFTP?",
    "give {user} read access to the logs, and sshd_config of {server} a line `Subsystem sftp internal-sftp`",
)
READER = Rule(
    "mysqlbinlog",
    "Is mysqlbinlog there, of the server's vendor and at least its version, and does it read the current log?",
    "install the client programs of {wanted} on {server}, or name their directory in `client_bindir`",
)
CLIENT = Rule(
    "mysql-client",
    "Is the mysql client there, of the server's vendor and at least its version?",
    "install the client programs of {wanted} on {server}, or name their directory in `client_bindir`",
    varies="warning for one that is older: it may still do",
)
CONNECTS = Rule(
    "client-connects",
    "Can `user` log in from the server's own host, as the rescue does?",
    "create the account for that host too: '{user}'@'{address}', with the same password and privileges",
)
WORKDIR = Rule(
    "remote-workdir",
    "Can ssh_user write remote_workdir?",
    "make {path} on {server} writable for {user}, or set another `remote_workdir`",
)
DISK = Rule(
    "free-disk",
    "Is there room on the data directory's and on remote_workdir's disk?",
    "free space on the disk of {path} on {server}",
    Severity.WARNING,
    varies="warning below 1 GiB, error below 64 MiB",
)
CLOCK = Rule(
    "host-clock",
    "Do the hosts' clocks agree with this machine's, to two seconds?",
    "let chrony or ntpd set the clock of {server} and of this machine",
    Severity.WARNING,
)
TOOLS = Rule(
    "host-tools",
    "Are bash (without it sshd has to forward for a second view of the primary), ss (the fence asks faster) and "
    "flock (one rescue at a time) there?",
    "install {packages} on {server}",
    Severity.WARNING,
)
BINLOGS = Rule(
    "binlog-directory",
    "Is the server's current binary log found in `master_binlog_dir`, and readable?",
    "set `master_binlog_dir` to the directory of the binary logs of {server}, and give {user} read access",
    varies="warning when only the server itself says where its log is",
)
ENCRYPTED = Rule(
    "binlog-encryption",
    "Can the binary logs be read without the server's keys?",
    "switch {variable} off on {server}, or rely on semi-synchronous replicas: "
    "nothing else can save the last transactions",
    Severity.WARNING,
)
RELAY_LOGS = Rule(
    "relay-log-directory",
    "Can the relay logs of every replica be read?",
    "give {user} read access to {path} on {server}",
)
RELAY_INFO = Rule(
    "relay-log-info",
    "Where a file tells a replica's place in its relay logs: can it be read?",
    "give {user} read access to {path} on {server}",
)
PAIR = Rule(
    "ssh-pair",
    "With --all-pairs: does every host get into every other with its own ssh?",
    "only scripts of your own need it; try `ssh -p {port} {user}@{address}` on {server} as {start}",
)
MANAGER_WORKDIR = Rule(
    "manager-workdir",
    "Can this user write manager_workdir, with room for saved logs?",
    "make {path} writable for the user who runs the manager and free its disk, or set another `manager_workdir`",
    varies="warning below 1 GiB, error below 64 MiB",
)
MANAGER_SPARE = Rule(
    "manager-spare-dir",
    "Is there room for saved logs on this machine, in manager_workdir or in a second place on another disk?",
    "set `manager_spare_dir` to a directory on another disk that this user can write, with 1 GiB free",
    Severity.WARNING,
)
OWN_WORKDIR = Rule(
    "own-workdir",
    "Is manager_workdir a directory that no other user of this machine may write to?",
    "set `manager_workdir` to a directory of the manager's own, such as /var/lib/mha/APP",
    Severity.WARNING,
)
SECRET_FILES = Rule(
    "secret-files",
    "Are the files that hold passwords closed to other users of this machine?",
    "`chmod o= {path}`, and change the password when this machine has other users",
    Severity.WARNING,
)
LOGIN_RULES = (SSH, SFTP, WORKDIR, BINLOGS, RELAY_LOGS, RELAY_INFO, PAIR)
RULES = (
    *LOGIN_RULES[:-1],
    READER,
    CLIENT,
    CONNECTS,
    DISK,
    CLOCK,
    TOOLS,
    *rights.RULES,
    ENCRYPTED,
    PAIR,
    MANAGER_WORKDIR,
    MANAGER_SPARE,
    OWN_WORKDIR,
    SECRET_FILES,
)


def logins(facts: Facts) -> Iterator[Check]:
    """What masterha_check_ssh asks: every session, and the files that are read and written through it."""
    for server in facts.config.servers:
        host = facts.hosts.get(server.address)
        if host is None:
            continue
        yield from _login(server, host)
        if host.reached:
            yield from _files(server, host, facts.cluster.get(server.address))
            yield from rights.helpers(facts, server, host)
    for pair in facts.pairs:
        text = f"reaches {pair.end}" if not pair.error else f"does not reach {pair.end}: {pair.error}"
        (start, at, _), (user, address, port) = who(pair.start), who(pair.end)
        fields = {"start": start, "server": at, "user": user, "address": address, "port": port}
        yield PAIR.judge(pair.start, not pair.error, text, **fields)


def checks(facts: Facts) -> Iterator[Check]:
    """What a rescue and a fence need of every host beyond that."""
    for server in facts.config.servers:
        host = facts.hosts.get(server.address)
        if host is None or not host.reached:
            continue
        state = facts.cluster.get(server.address)
        if state is not None:
            yield from _programs(server, host, state)
            yield from _encryption(facts, server, host, state)
        yield from _room(server, host)
        yield from _means(facts, server, host)
    if facts.manager is not None:
        yield from _manager(facts)
        yield from _spare(facts)


def _login(server: ServerConfig, host: HostFacts) -> Iterator[Check]:
    user, address, port = who(host.name)
    if host.skipped:
        yield SSH.yes(server.name, "is left out: skip_init_ssh_check is set")
        return
    if not host.reached:
        error = host.error.removeprefix(f"{host.name}: ")
        yield SSH.no(server.name, f"{host.name}: {error}", user=user, address=address, port=port)
        return
    yield SSH.yes(server.name, f"the manager gets in as {host.name}")
    sftp = host.sftp.removeprefix(f"{host.name}: ")
    yield SFTP.judge(server.name, not host.sftp, sftp or "files can be read", user=user, server=server.hostname)
    yield WORKDIR.judge(
        server.name,
        not host.workdir,
        host.workdir or f"{server.remote_workdir} can be written",
        path=server.remote_workdir,
        server=server.hostname,
        user=user,
    )


def who(login: str) -> tuple[str, str, str]:
    """User, address and port of ``user@address:port``."""
    user, _, place = login.rpartition("@")
    address, _, port = place.rpartition(":")
    return user, address.strip("[]") or place, port or "22"


def _files(server: ServerConfig, host: HostFacts, state: ServerState | None) -> Iterator[Check]:
    fields = {"server": server.hostname, "user": who(host.name)[0]}
    if state is None:
        readable = [each for each in server.master_binlog_dir if _plain(each) not in host.unreadable]
        text = f"{', '.join(readable)} can be read" if readable else _why(host, server.master_binlog_dir)
        yield BINLOGS.judge(server.name, bool(readable), text, **fields)
        return
    if state.log_bin and state.end_of_log is not None:
        yield _current_log(server, host, state, fields)
    if state.channels and state.relay_log_basename:
        directory = _plain(dirname(state.relay_log_basename))
        why = host.unreadable.get(directory)
        text = f"{directory}: {why}" if why else f"{directory} can be read"
        yield RELAY_LOGS.judge(server.name, why is None, text, path=directory, **fields)
        because = host.unreadable.get(host.info) if host.info else None
        text = "its place in its relay logs is in a table" if not host.info else f"{host.info} can be read"
        if because:
            text = f"{host.info}: {because}"
        yield RELAY_INFO.judge(server.name, because is None, text, path=host.info, **fields)


def _current_log(server: ServerConfig, host: HostFacts, state: ServerState, fields: dict[str, str]) -> Check:
    assert state.end_of_log is not None
    log = state.end_of_log.file
    if not host.logs:
        named = (*server.master_binlog_dir, dirname(state.log_bin_basename))
        return BINLOGS.no(server.name, f"its current log {log} cannot be read: {_why(host, named, log)}", **fields)
    configured = {_plain(each) for each in server.master_binlog_dir}
    found = [dirname(path) for path in host.logs]
    if not configured.intersection(found):
        text = f"its current log {log} is in {found[0]}, which master_binlog_dir does not name"
        return BINLOGS.no(server.name, text, Severity.WARNING, **fields)
    return BINLOGS.yes(server.name, f"its current log {log} is in {found[0]} and can be read")


def _why(host: HostFacts, directories: tuple[str, ...], log: str = "") -> str:
    said = []
    for directory in dict.fromkeys(_plain(each) for each in directories if each):
        file = join(directory, log) if log else directory
        why = host.unreadable.get(file) or host.unreadable.get(directory)
        said.append(f"{file if file in host.unreadable else directory}: {why or f'has no {log}'}")
    return "; ".join(said)


def _plain(directory: str) -> str:
    return directory.rstrip("/") or "/"


def _programs(server: ServerConfig, host: HostFacts, state: ServerState) -> Iterator[Check]:
    wanted = f"{_vendor(state.vendor)} {_dotted(state.major)} or newer"
    fields = {"wanted": wanted, "server": server.hostname}
    if host.reader is None:
        yield READER.no(server.name, "there is no mysqlbinlog", **fields)
    else:
        trouble, _ = _unfit(host.reader, host.client, state)
        trouble = trouble or (f"{host.reader.path} does not read its current log: {host.reads}" if host.reads else "")
        trouble = trouble or _not_known(host.reader, host, state)
        yield READER.judge(server.name, not trouble, trouble or _is(host.reader), **fields)
    if host.client is None:
        yield CLIENT.no(server.name, "there is no mysql client", **fields)
        return
    trouble, foreign = _unfit(host.client, None, state)
    yield CLIENT.judge(
        server.name, not trouble, trouble or _is(host.client), None if foreign else Severity.WARNING, **fields
    )
    if host.connects is not None:
        text = host.connects or f"{server.user} logs in from there"
        if host.answers not in (0, state.server_id):
            text = f"{server.ip}:{server.port} is another server there: one with server_id {host.answers} answers"
        ok = not host.connects and host.answers in (0, state.server_id)
        yield CONNECTS.judge(server.name, ok, text, user=server.user, address=state.key.rpartition(":")[0])


def _unfit(program: Program, beside: Program | None, state: ServerState) -> tuple[str, bool]:
    """Why a program does not do for a server, and whether it is another vendor's or none at all.

    A mysqlbinlog that does not tell its version has that of the client ``beside`` it.
    """
    version = program_version(program.says)
    if version is None and beside is not None and dirname(beside.path) == dirname(program.path):
        version = program_version(beside.says)
    if version is None:
        works = " Ver " in f" {program.says}"
        if works and program.maker and program.maker != state.vendor:
            return f"{program.path} is of {_vendor(Vendor(program.maker))}, the server is {_vendor(state.vendor)}", True
        return ("" if works else f"{program.path} does not start: {program.says}"), True
    vendor, number = version
    if vendor is not state.vendor:
        return f"{program.path} is of {_vendor(vendor)}, the server is {_vendor(state.vendor)}", True
    if number[:2] < state.major:
        return f"{program.path} is of {_dotted(number)}, older than the server's {_dotted(state.version)}", False
    return "", False


def _not_known(reader: Program, host: HostFacts, state: ServerState) -> str:
    """A version that nothing tells is believed where the program has read the current log."""
    beside = host.client is not None and dirname(host.client.path) == dirname(reader.path)
    if program_version(reader.says) is not None or beside or host.reads == "" or not state.log_bin:
        return ""
    return f"{reader.path} does not tell its version, and whether it reads the current log is not known"


def _is(program: Program) -> str:
    return f"{program.path}: {' '.join(program.says.replace(program.path, '').split())}"


def _encryption(facts: Facts, server: ServerConfig, host: HostFacts, state: ServerState) -> Iterator[Check]:
    if not state.log_bin or not host.logs:
        return
    seen = facts.servers[state.key]
    # MariaDB encrypts what stands behind a readable head, so only its variable tells.
    by_setting = (seen.value("binlog_encryption") or "OFF").upper() in ("ON", "1")
    encrypted = host.encrypted or by_setting
    text = "its binary logs are encrypted" if encrypted else "its binary logs can be read by anybody with access"
    variable = seen.name_of("binlog_encryption")
    yield ENCRYPTED.judge(server.name, not encrypted, text, variable=variable, server=server.hostname)


def _room(server: ServerConfig, host: HostFacts) -> Iterator[Check]:
    for path, free in host.free.items():
        text = f"{free / (1 << 20):,.0f} MiB are free for {path}"
        yield DISK.judge(
            server.name,
            free >= SCARCE,
            text,
            Severity.ERROR if free < FULL else None,
            path=path,
            server=server.hostname,
        )


def _means(facts: Facts, server: ServerConfig, host: HostFacts) -> Iterator[Check]:
    if host.clock_ahead is not None:
        close = abs(host.clock_ahead) <= CLOCK_SECONDS
        yield CLOCK.judge(server.name, close, clock_text(host.clock_ahead), server=server.hostname)
    packages = {"bash": "bash", "ss": "iproute2", "flock": "util-linux"}
    missing = [tool for tool in packages if tool not in host.tools]
    text = f"{', '.join(missing)} missing" if missing else "bash, ss and flock are there"
    names = ", ".join(packages[tool] for tool in missing)
    yield TOOLS.judge(server.name, not missing, text, packages=names, server=server.hostname)
    yield rights.fence(facts, server, host)
    yield from rights.process(server, host)
    yield from rights.leads(server, host)
    yield rights.activation(server, host)


def _manager(facts: Facts) -> Iterator[Check]:
    manager = facts.manager
    assert manager is not None
    yield _workdir(manager)
    if not manager.trouble:
        text = f"{manager.workdir}: {manager.doubt or 'nobody else may write there'}"
        yield OWN_WORKDIR.judge("manager", not manager.doubt, text)
    for path in manager.open_files:
        yield SECRET_FILES.no("manager", f"every local user may read {path}", None, path=path)
    if not manager.open_files:
        yield SECRET_FILES.yes("manager", "others may read none of them")


def _workdir(manager: ManagerFacts) -> Check:
    if manager.trouble:
        return MANAGER_WORKDIR.no("manager", manager.trouble, path=manager.workdir)
    free = manager.free or 0
    text = f"{free / (1 << 20):,.0f} MiB are free for {manager.workdir}"
    bad = Severity.ERROR if free < FULL else Severity.WARNING
    return MANAGER_WORKDIR.judge("manager", free >= SCARCE, text, bad, path=manager.workdir)


def _spare(facts: Facts) -> Iterator[Check]:
    manager = facts.manager
    assert manager is not None
    if manager.trouble:
        return
    if manager.spare_trouble:
        yield MANAGER_SPARE.no("manager", manager.spare_trouble)
        return
    free, spare = manager.free or 0, manager.spare_free
    second = f"{spare / (1 << 20):,.0f} MiB in {manager.spare}" if spare else f"{manager.spare} is on the same disk"
    text = f"{free / (1 << 20):,.0f} MiB for saved logs in {manager.workdir}; {second}"
    yield MANAGER_SPARE.judge("manager", max(free, spare) >= SCARCE, text)


def _vendor(vendor: Vendor) -> str:
    return {Vendor.MYSQL: "MySQL", Vendor.MARIADB: "MariaDB"}[vendor]


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
