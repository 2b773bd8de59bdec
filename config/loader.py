"""From files to models: inheritance, conversion, and every way in which a configuration can be wrong."""

from __future__ import annotations

import difflib
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from config.errors import ConfigError, ConfigWarning
from config.ini import SECRET_KEYS, read_ini
from config.models import ClusterConfig, ServerConfig
from config.raw import Block, RawConfig, Value
from config.ssh_options import SshOptions
from config.toml import DEFAULT, read_toml

DEFAULT_GLOBAL_CONF = Path("/etc/masterha_default.cnf")
INIT_SCRIPT_SECONDS = 30.0

_COMPUTED = {"block", "name", "path", "global_path", "servers", "binlog_servers", "warnings"}
SERVER_PARAMETERS = frozenset(ServerConfig.model_fields) - _COMPUTED
CLUSTER_PARAMETERS = frozenset(ClusterConfig.model_fields) - _COMPUTED
PARAMETERS = SERVER_PARAMETERS | CLUSTER_PARAMETERS

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
Values = dict[str, Value]
M = TypeVar("M", bound=BaseModel)
Resolver = Callable[[str], str]


def app_name(conf: Path | str) -> str:
    """The application's name: its file's name without the last extension."""
    return Path(conf).stem


def resolve_host(hostname: str) -> str:
    """The first address of a name. Raises OSError."""
    return str(socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM)[0][4][0])


def load_cluster(
    conf: Path | str,
    global_conf: Path | str | None = DEFAULT_GLOBAL_CONF,
    overrides: Mapping[str, str] | None = None,
    *,
    resolve: Resolver | None = None,
) -> ClusterConfig:
    """Read one application's configuration. Raises ConfigError; nothing is started or written.

    Later wins: code, global ``[server default]``, the application's, what `init_conf_load_script` prints,
    ``overrides`` (a command line's), the server's own block. ``resolve`` turns a host name into an address.
    """
    path = Path(conf)
    app, defaults, warnings, global_path = _read_files(path, Path(global_conf) if global_conf else None)
    script = defaults.get("init_conf_load_script")
    if script is not None and script.text:
        defaults |= _run_init_script(script)
    defaults |= {key: Value(text, path, None, quoted=True) for key, text in (overrides or {}).items()}
    servers = [b for name, b in app.blocks.items() if re.match(r"server(?! default$).*\S", name)]
    binlogs = [b for name, b in app.blocks.items() if name.startswith("binlog")]
    if not servers:
        raise ConfigError("it has no server: at least one [serverN] block is needed", file=path)
    for block in (*servers, *binlogs):
        _check_names(block.values)
        warnings += _misplaced(block)
    lookup = resolve or resolve_host
    made = [_server(block, defaults, lookup, path) for block in _in_order(servers)]
    _no_duplicates(made, servers, path)
    cluster = {k: v for k, v in defaults.items() if k in CLUSTER_PARAMETERS and v.text != ""}
    return _build(
        ClusterConfig,
        cluster,
        path,
        name=app_name(path),
        path=path,
        global_path=global_path,
        servers=tuple(made),
        binlog_servers=tuple(_server(b, defaults, lookup, path) for b in _in_order(binlogs) if "hostname" in b.values),
        warnings=tuple(warnings),
    )


def _read_files(path: Path, global_conf: Path | None) -> tuple[RawConfig, Values, list[ConfigWarning], Path | None]:
    """The application's blocks, the merged defaults of both files, and what was worth saying."""
    app = read_toml(path) if path.suffix == ".toml" else read_ini(path)
    for block in app.blocks.values():
        if not re.match(r"server.*\S$|binlog.*\S$", block.name):
            raise ConfigError(
                f"[{block.name}] is none of [server default], [serverN], [binlogN]", file=block.file, line=block.line
            )
    defaults: Values = {}
    warnings: list[ConfigWarning] = []
    global_path = None
    if global_conf is not None and global_conf.exists():
        general = read_ini(global_conf)
        defaults |= general.blocks[DEFAULT].values if DEFAULT in general.blocks else {}
        warnings += general.warnings
        global_path = global_conf
    elif global_conf is not None:
        warnings.append(ConfigWarning(global_conf, None, "Global configuration file not found. Skipping."))
    defaults |= app.blocks[DEFAULT].values if DEFAULT in app.blocks else {}
    _check_names(defaults)
    return app, defaults, warnings + app.warnings, global_path


def _check_names(values: Mapping[str, Value]) -> None:
    for key, value in values.items():
        if key not in PARAMETERS:
            near = difflib.get_close_matches(key, PARAMETERS, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"parameter name {key} is invalid{hint}", file=value.file, line=value.line, key=key)


def _misplaced(block: Block) -> Iterable[ConfigWarning]:
    for key, value in block.values.items():
        if key not in SERVER_PARAMETERS:
            yield ConfigWarning(
                value.file, value.line, f"{key} holds for the whole cluster; in [{block.name}] it has no effect"
            )
        elif key == "ssh_ip":
            yield ConfigWarning(value.file, value.line, "ssh_ip is computed from ssh_host; this value has no effect")


def _in_order(blocks: list[Block]) -> list[Block]:
    """By name; by the first number in the name when every name has one (MHA, Config)."""
    numbers = [re.search(r"\d+", b.name) for b in blocks]
    if all(numbers):
        return [b for _, _, b in sorted((int(n[0]), i, b) for i, (n, b) in enumerate(zip(numbers, blocks)) if n)]  # noqa: B905
    return sorted(blocks, key=lambda b: b.name)


def _server(block: Block, defaults: Values, lookup: Resolver, path: Path) -> ServerConfig:
    inherited = {k: v for k, v in defaults.items() if k in SERVER_PARAMETERS}
    values = {k: v for k, v in (inherited | block.values).items() if k in SERVER_PARAMETERS and k != "ssh_ip"}
    hostname = values.pop("hostname", None)
    if hostname is None or not hostname.text:
        raise ConfigError(f"[{block.name}] has no hostname", file=block.file, line=block.line, key="hostname")
    given_ip, given_ssh = values.pop("ip", None), values.pop("ssh_host", None)
    ip = given_ip.text if given_ip and given_ip.text else _address(hostname, lookup)
    ssh_host = given_ssh if given_ssh and given_ssh.text else hostname
    ssh_ip = ip if ssh_host.text == hostname.text else _address(ssh_host, lookup)
    kept = {k: v for k, v in values.items() if v.text != "" or k in SECRET_KEYS}
    return _build(
        ServerConfig, kept, path, block=block.name, hostname=hostname.text, ip=ip, ssh_host=ssh_host.text, ssh_ip=ssh_ip
    )


def _address(host: Value, lookup: Resolver) -> str:
    try:
        return lookup(host.text)
    except OSError as error:
        raise ConfigError(
            f"{host.text} cannot be resolved to an address: {error.strerror or error}",
            file=host.file,
            line=host.line,
            key="hostname",
        ) from None


def _no_duplicates(servers: list[ServerConfig], blocks: list[Block], path: Path) -> None:
    seen: dict[str, ServerConfig] = {}
    for server in servers:
        first = seen.setdefault(server.address, server)
        if first is not server:
            line = next((b.line for b in blocks if b.name == server.block), None)
            raise ConfigError(
                f"[{first.block}] and [{server.block}] have duplicate ip:port {server.address}", file=path, line=line
            )


def _build(model: type[M], values: Values, file: Path, **known: Any) -> M:
    converted = {key: _convert(model, key, value) for key, value in values.items()}
    try:
        return model(**known, **converted)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = str(first["loc"][0])
        value = values.get(key)
        raise ConfigError(
            f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}",
            file=value.file if value else file,
            line=value.line if value else None,
            key=key,
        ) from None


def _convert(model: type[BaseModel], key: str, value: Value) -> Any:
    """Text to what the model wants, where pydantic alone would be too strict or too lax."""
    text = value.text
    wrong = ConfigError
    kind = model.model_fields[key].annotation
    if key in SECRET_KEYS:
        return SecretStr(_secret(key, value))
    if kind is bool:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise wrong(f"{key} must be 0 or 1, not {text!r}", file=value.file, line=value.line, key=key)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise wrong(f"{key} must be a number, not {text!r}", file=value.file, line=value.line, key=key) from None
    if key == "master_binlog_dir":
        return tuple(part for part in re.sub(r"\s", "", text).split(",") if part)
    if key == "ssh_options":
        try:
            return SshOptions.parse(text)
        except ValueError as error:
            raise wrong(str(error), file=value.file, line=value.line, key=key) from None
    if key == "ping_type":
        return text.upper()
    if key == "log_level":
        return text.lower()
    return text


def _secret(key: str, value: Value) -> str:
    """A secret, from where the value points to: ``env:NAME``, ``file:/path``, or the value itself."""
    kind, colon, where = value.text.partition(":")
    if kind == "env" and colon:
        found = os.environ.get(where)
        if found is None:
            raise ConfigError(f"{key}: no environment variable {where}", file=value.file, line=value.line, key=key)
        return found
    if kind == "file" and where.startswith(("/", "~")):
        try:
            return Path(where).expanduser().read_text().rstrip("\r\n")
        except OSError as error:
            raise ConfigError(
                f"{key}: {where} cannot be read: {error.strerror}", file=value.file, line=value.line, key=key
            ) from None
    return value.text


def _run_init_script(script: Value) -> Values:
    """What `init_conf_load_script` prints. Its output may hold secrets and is never shown."""

    def wrong(why: str) -> ConfigError:
        return ConfigError(f"init_conf_load_script {why}", file=script.file, line=script.line)

    try:
        done = subprocess.run(
            script.text,
            shell=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INIT_SCRIPT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise wrong(f"did not end within {INIT_SCRIPT_SECONDS:g} s") from None
    if done.returncode:
        raise wrong(f"ended with exit code {done.returncode}")
    values: Values = {}
    for line in done.stdout.splitlines():
        key, equals, text = line.partition("=")
        if line.strip() and equals:
            values[key.strip()] = Value(text.strip(), script.file, script.line, quoted=True)
    _check_names(values)
    return values
