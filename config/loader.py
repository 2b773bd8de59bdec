"""From files to models: inheritance, names, addresses, and every way in which a configuration can be wrong."""

from __future__ import annotations

import contextlib
import difflib
import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr

from .address import combination_problem
from .errors import ConfigError, ConfigWarning, HostNotFoundError
from .forms.ini import parse_ini
from .forms.init_script import run_init_script
from .forms.raw import DEFAULT, SECRET_KEYS, Block, RawConfig, Value, is_utf8, read_text
from .forms.toml import parse_toml
from .forms.witness import place
from .models import ClusterConfig, ServerConfig
from .state import FORMER, left_in_former, state_directory
from .values import Values, build, convert, wrong

DEFAULT_GLOBAL_CONF = Path("/etc/masterha_default.cnf")
RESOLVE_SECONDS = 10.0

_COMPUTED = frozenset(
    {
        "block",
        "name",
        "unix_socket",
        "path",
        "global_path",
        "servers",
        "binlog_servers",
        "witnesses",
        "warnings",
        "secret_files",
    }
)
SERVER_PARAMETERS = frozenset(ServerConfig.model_fields) - _COMPUTED
CLUSTER_PARAMETERS = frozenset(ClusterConfig.model_fields) - _COMPUTED
PARAMETERS = SERVER_PARAMETERS | CLUSTER_PARAMETERS

_BLOCK = re.compile(r"(server|binlog).*\S", re.DOTALL)
Resolver = Callable[[str], str]


def app_name(conf: Path | str) -> str:
    """The application's name: its file's name without the last extension."""
    return Path(conf).stem


def resolve_host(hostname: str, seconds: float = RESOLVE_SECONDS) -> str:
    """The first address of a name, from /etc/hosts and DNS. Raises OSError, TimeoutError after ``seconds``."""
    answers: list[str] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            answers.append(str(socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM)[0][4][0]))
        except (OSError, UnicodeError) as error:
            errors.append(error)

    asking = threading.Thread(target=ask, name=f"resolve {hostname}", daemon=True)
    asking.start()
    asking.join(seconds)
    if answers:
        return answers[0]
    raise errors[0] if errors else TimeoutError(f"no answer within {seconds:g} s")


def load_cluster(
    conf: Path | str,
    global_conf: Path | str | None = DEFAULT_GLOBAL_CONF,
    overrides: Mapping[str, str] | None = None,
    *,
    resolve: Resolver | None = None,
    secrets: bool = True,
    text: str | None = None,
) -> ClusterConfig:
    """Read one application's configuration. Raises ConfigError; nothing is started or written.

    Later wins: code, global ``[server default]``, the application's, what `init_conf_load_script` prints,
    ``overrides`` (a command line's), the server's own block. ``resolve`` turns a host name into an address.
    Without ``secrets`` the script is not run, no ``env:``, ``file:`` or ``prefect:`` is followed, and every password is
    empty: for those who only want to know where the manager's files are, and may not be allowed more. ``text`` is read
    in the place of the file's: what it is about to become.
    """
    path = Path(conf)
    app = parse(read_text(path) if text is None else text, path)
    _check_blocks(app)
    warnings: list[ConfigWarning] = []
    general = _read_global(Path(global_conf), warnings) if global_conf else None
    warnings += app.warnings
    defaults = _defaults(path, general, app, overrides or {}, secrets)
    warnings += _without_effect(DEFAULT, defaults)
    servers = [block for block in app.blocks.values() if _kind(block) == "server"]
    binlogs = [block for block in app.blocks.values() if _kind(block) == "binlog"]
    for block in (*servers, *binlogs):
        warnings += _without_effect(block.name, block.values)

    def make(block: Block) -> ServerConfig:
        return _server(block, defaults, resolve or resolve_host, secrets, again=resolve is None)

    made = [make(block) for block in _in_order(servers)]
    made_binlogs = [make(block) for block in _in_order(binlogs) if _is_used(block, warnings)]
    said = defaults.get("witness")
    asked = convert(ClusterConfig, "witness", said) if said is not None and said.text else ()
    named = [_witness(each, said, made_binlogs) for each in asked if said is not None]
    witnesses = []
    for each in named:
        try:
            witnesses.append(each if isinstance(each, ServerConfig) else make(each))
        except HostNotFoundError as error:
            # No reason not to watch, nor to fail over: it is one voice less.
            text = f"{error.sentence}; until then this witness is not asked"
            warnings.append(ConfigWarning(said.file if said is not None else None, error.line, text))
    _refuse_duplicates(made, servers, path)
    for server in made:
        server.beside(other for other in made if other is not server)
    written = (general.defaults() if general else {}) | app.defaults()
    given = defaults.get("manager_workdir")
    if not (given and given.text) and left_in_former(app_name(path), state_directory()):
        sentence = f"manager_workdir is not set, and state of this application lies in {FORMER}, where it stays: set it"
        warnings.append(ConfigWarning(path, None, sentence))
        defaults |= {"manager_workdir": Value(str(FORMER), path, None)}
    cluster = build(
        ClusterConfig,
        {key: v for key, v in defaults.items() if key in CLUSTER_PARAMETERS and v.text and _may_follow(key, secrets)},
        name=app_name(path),
        path=path,
        global_path=general.file if general else None,
        servers=tuple(made),
        binlog_servers=tuple(made_binlogs),
        witnesses=tuple(witnesses),
        warnings=tuple(warnings),
        secret_files=tuple(sorted(set(_secret_files(written, *(block.values for block in (*servers, *binlogs)))))),
    )
    for server in (*made, *made_binlogs):
        server.known_in(cluster.manager_workdir / f"{cluster.name}.known_servers")
    for means in cluster.fence_required:
        if means not in (*cluster.fence, "any"):
            raise wrong(defaults["fence_required"], "fence_required", f"names {means}, which is not in fence")
    _refuse_addresses(cluster, defaults)
    if cluster.vip_addresses and set(cluster.vip_provider) <= {"haproxy", "proxysql", "script"}:
        given = defaults["vip_addresses"]
        sentence = "vip_addresses has no effect, because vip_provider names neither ip nor keepalived"
        warning = ConfigWarning(given.file, given.line, sentence)
        return cluster.model_copy(update={"warnings": (*cluster.warnings, warning)})
    return cluster


def written_values(
    conf: Path | str, global_conf: Path | str | None = DEFAULT_GLOBAL_CONF, *, secrets: bool = True
) -> tuple[Values, tuple[Block, ...]]:
    """What is written, as text, and where: what holds for the whole cluster, then the blocks of servers, in order.

    ``secrets`` as in `load_cluster`. Raises ConfigError; what the values mean is not looked at.
    """
    path = Path(conf)
    app = parse(read_text(path), path)
    _check_blocks(app)
    general = _read_global(Path(global_conf), []) if global_conf else None
    defaults = _defaults(path, general, app, {}, secrets)
    return defaults, tuple(_in_order([block for block in app.blocks.values() if _kind(block)]))


def _witness(given: str, value: Value, binlogs: Sequence[ServerConfig]) -> ServerConfig | Block:
    """The [binlogN] block of that name, or a block for a host that has none."""
    for server in binlogs:
        # [binlog1] of one form is [binlog.1] of the other.
        if given in (server.block, server.block.replace("binlog.", "binlog", 1)):
            return server
    if re.fullmatch(r"binlog\.?\d+", given):
        raise wrong(value, "witness", f"names {given}, and there is no such block with a hostname")
    host, port = place(given)
    values = {"hostname": replace(value, text=host)} | ({"ssh_port": replace(value, text=port)} if port else {})
    return Block(f"witness {given}", value.file, value.line, values)


def _secret_files(*values: Values) -> Iterator[Path]:
    """The files that hold passwords: those they stand in, and those that are named."""
    for value in (v for each in values for key, v in each.items() if key in SECRET_KEYS and v.text):
        if value.text.startswith("file:"):
            yield Path(value.text.removeprefix("file:"))
        elif not value.text.startswith(("env:", "prefect:")) and value.line is not None:
            yield value.file


def _may_follow(key: str, secrets: bool) -> bool:
    """Whether a value is wanted: without ``secrets`` nothing is read from the files and variables that hold them."""
    return secrets or key not in SECRET_KEYS


def parse(text: str, path: Path) -> RawConfig:
    """The blocks of a file's text; the path's ending tells the form."""
    return parse_toml(text, path) if path.suffix == ".toml" else parse_ini(text, path)


def _read_global(path: Path, warnings: list[ConfigWarning]) -> RawConfig | None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        warnings.append(ConfigWarning(None, None, f"Global configuration file {path} not found. Skipping."))
        return None
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}", file=path) from None
    general = parse(read_text(path), path)
    for block in general.blocks.values():
        if block.name != DEFAULT:
            general.warn(block.line, f"[{block.name}] has no effect in the global file, only [{DEFAULT}] has")
    warnings += general.warnings
    return general


def _defaults(
    path: Path, general: RawConfig | None, app: RawConfig, overrides: Mapping[str, str], secrets: bool
) -> Values:
    """What every server inherits. All names in the files are checked before the user's script is run."""
    defaults = (general.defaults() if general else {}) | app.defaults()
    check_parameters(defaults)
    for block in app.blocks.values():
        check_parameters(block.values)
    script = defaults.get("init_conf_load_script")
    if secrets and script is not None and script.text:
        printed = run_init_script(script)
        check_parameters(printed, printed_by=script)
        defaults |= printed
    given = {key: Value(text, path, None) for key, text in overrides.items()}
    check_parameters(given)
    return defaults | given


def _kind(block: Block) -> str:
    return "" if block.name == DEFAULT else block.name[:6]


def _check_blocks(app: RawConfig) -> None:
    for block in app.blocks.values():
        folded = re.sub(r"[\s_.-]+", " ", block.name.lower()).rstrip("s")
        if block.name == DEFAULT or (_BLOCK.fullmatch(block.name) and folded != DEFAULT):
            continue
        digits = "".join(re.findall(r"\d+$", block.name)) or "1"
        near = difflib.get_close_matches(folded, [DEFAULT, f"server{digits}", f"binlog{digits}"], n=1)
        hint = f"; did you mean [{near[0]}]?" if near else ""
        raise ConfigError(
            f"[{block.name}] is none of [{DEFAULT}], [serverN], [binlogN]{hint}", file=block.file, line=block.line
        )
    if not any(_kind(block) == "server" for block in app.blocks.values()):
        raise ConfigError("it has no server: at least one [serverN] block is needed", file=app.file)


def check_parameters(values: Mapping[str, Value], printed_by: Value | None = None) -> None:
    """Names that exist, values that are text. What a script printed is not shown: it may be the secret itself."""
    for key, value in values.items():
        if key not in PARAMETERS:
            # Behind the first word may stand a value whose = was forgotten.
            word = re.split(r"[^\w.-]", key, maxsplit=1)[0]
            near = _nearest(key) or _nearest(word)
            hint = f"; did you mean '{near}'?" if near else ""
            if printed_by:
                raise wrong(printed_by, "init_conf_load_script", f"printed a parameter name that is invalid{hint}")
            raise ConfigError(f"parameter name {word!r} is invalid{hint}", file=value.file, line=value.line, key=word)
        if "\0" in value.text or not is_utf8(value.text):
            raise wrong(value, key, "holds what is not text")


def _nearest(name: str) -> str | None:
    folded = re.sub(r"[\s-]+", "_", name.lower())
    return next(iter(difflib.get_close_matches(folded, sorted(PARAMETERS), n=1, cutoff=0.5)), None)


def _without_effect(block: str, values: Mapping[str, Value]) -> Iterator[ConfigWarning]:
    for key, value in values.items():
        if key == "ssh_ip":
            yield ConfigWarning(value.file, value.line, "ssh_ip is computed from ssh_host; this value has no effect")
        elif block != DEFAULT and key not in SERVER_PARAMETERS:
            if key not in SECRET_KEYS:
                convert(ClusterConfig, key, value)
            yield ConfigWarning(
                value.file, value.line, f"{key} holds for the whole cluster; in [{block}] it has no effect"
            )
        elif key == "ssh_options":
            for option in convert(ServerConfig, key, value).missed:
                yield ConfigWarning(value.file, value.line, f"{option} in ssh_options has no effect here")


def _in_order(blocks: Sequence[Block]) -> list[Block]:
    """By name as text; by the first number in the name when every name has one (MHA's tie-break at promotion)."""
    numbers = {block.name: Decimal(found[0]) for block in blocks if (found := re.search(r"[0-9]+", block.name))}
    by_name = sorted(blocks, key=lambda block: block.name)
    return sorted(by_name, key=lambda block: numbers[block.name]) if len(numbers) == len(blocks) else by_name


def _server(block: Block, defaults: Values, lookup: Resolver, secrets: bool, again: bool) -> ServerConfig:
    """One block. ``again``: its names may be resolved anew by and by."""
    values = {k: v for k, v in (defaults | block.values).items() if k in SERVER_PARAMETERS and k != "ssh_ip" and v.text}
    hostname = values.pop("hostname", None)
    if hostname is None:
        raise ConfigError(f"[{block.name}] has no hostname", file=block.file, line=block.line, key="hostname")
    given_ip, ssh_host = values.pop("ip", None), values.pop("ssh_host", hostname)
    ip = _address("ip", given_ip, lookup) if given_ip else _address("hostname", hostname, lookup)
    ssh_ip = ip if ssh_host.text == hostname.text else _address("ssh_host", ssh_host, lookup)
    known = {"block": block.name, "hostname": hostname.text, "ip": ip, "ssh_host": ssh_host.text, "ssh_ip": ssh_ip}
    hidden = {} if secrets else {key: SecretStr("") for key in SECRET_KEYS if values.pop(key, None)}
    server = build(ServerConfig, values, **known, **hidden)
    if again:
        named = _name(given_ip or hostname)
        server.known_by(named, named if ssh_host.text == hostname.text else _name(ssh_host))
    return server


def _name(value: Value) -> str:
    """A value that is no address; empty for one that is."""
    try:
        ipaddress.ip_address(value.text)
    except ValueError:
        return value.text
    return ""


def _is_used(block: Block, warnings: list[ConfigWarning]) -> bool:
    """A binary log server without a hostname is left out: MHA reads it without a word."""
    used = "hostname" in block.values and bool(block.values["hostname"].text)
    if not used:
        warnings.append(ConfigWarning(block.file, block.line, f"[{block.name}] has no hostname, so it is not used"))
    return used


def _address(key: str, host: Value, lookup: Resolver) -> str:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host.text))
    try:
        return lookup(host.text)
    except (OSError, UnicodeError) as error:
        cause = getattr(error, "strerror", None) or error
        raise HostNotFoundError(
            f"{key} {host.text!r} cannot be resolved to an address: {cause}; add it to DNS or /etc/hosts",
            file=host.file,
            line=host.line,
            key=key,
        ) from None


def _refuse_addresses(cluster: ClusterConfig, defaults: Values) -> None:
    """Values about the address that do not go together are an error at the place of one of them."""
    found = combination_problem(
        cluster.vip_provider,
        (key for key, value in defaults.items() if value.text),
        cluster.vip_addresses,
        (ip for server in cluster.servers for ip in (server.ip, server.ssh_ip)),
    )
    if found is not None:
        key, sentence = found
        raise wrong(defaults[key], key, sentence)
    for key, others in (("proxysql_writer", "readers"), ("proxysql_reader", "writers")):
        if cluster.proxysql_writer == cluster.proxysql_reader and key in defaults:
            raise wrong(defaults[key], key, f"is the group of {others}, too; each needs one of its own")


def _refuse_duplicates(servers: Sequence[ServerConfig], blocks: Sequence[Block], path: Path) -> None:
    lines = {block.name: block.line for block in blocks}
    seen: dict[str, ServerConfig] = {}
    for server in servers:
        first = seen.setdefault(server.address, server)
        if first is not server:
            raise ConfigError(
                f"[{first.block}] and [{server.block}] have duplicate ip:port {server.address}",
                file=path,
                line=lines[server.block],
                key="hostname",
            )
