"""How to log in to a host, from its configuration and ssh_config, as OpenSSH's client would.

Where a setting comes from, first found wins:

==================  =================================================================================
address             always ``ssh_ip`` (a HostName in ssh_config is only one more name for known_hosts)
user                ``-l`` in ssh_options, ``ssh_user``, User in ssh_config, the user running this
port                ``-p`` in ssh_options, ``ssh_port`` when it is not 22, Port in ssh_config, 22
host key checking   StrictHostKeyChecking in ssh_options, in ssh_config, yes (nobody is there to ask)
known hosts         UserKnownHostsFile in ssh_options, in ssh_config, ~/.ssh/known_hosts; and the system's
user keys           ``-i`` in ssh_options, IdentityFile in ssh_config; the agent's; ~/.ssh/id_*
seconds             ConnectTimeout in ssh_options, ``ssh_connection_timeout``
==================  =================================================================================

ssh_config is ``-F file``, or ~/.ssh/config and then /etc/ssh/ssh_config; its Host patterns are tried with ``ssh_host``
and with ``ssh_ip``. ProxyCommand and ProxyJump are refused in words. StrictHostKeyChecking=no accepts any key
and writes none.
"""

from __future__ import annotations

import getpass
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import paramiko

from ..errors import HostUnreachable
from ..local.addresses import ssh_address_of
from .known_hosts import SSH_PORT, lookup_names

if TYPE_CHECKING:
    from ...config import ServerConfig

logger = logging.getLogger("mha.ssh")

Checking = Literal["yes", "no", "accept-new"]

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
SYSTEM_KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
INCLUDE_DEPTH = 16
#: A host that no pattern names; what ssh_config says for it holds for every host.
NO_HOST = "no-host.invalid"


@dataclass(frozen=True)
class SshLogin:
    """Everything a login needs, resolved. ``key_names`` are those its host key may be listed under in known_hosts."""

    address: str
    port: int
    user: str
    key_names: tuple[str, ...]
    checking: Checking
    known_hosts: tuple[Path, ...]
    system_known_hosts: tuple[Path, ...]
    identity_files: tuple[Path, ...]
    default_keys: tuple[Path, ...]
    use_agent: bool
    agent_keys_only_if_named: bool
    connect_timeout: float
    proxy: str = ""

    @property
    def name(self) -> str:
        """``user@address:port``."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.user}@{address}:{self.port}"


def resolve_login(server: ServerConfig, ssh_config: Mapping[str, str | list[str]], home: Path) -> SshLogin:
    """The login for ``server`` from its configuration and its lines of ssh_config (see the module's table). Pure."""
    options = server.ssh_options

    def setting(key: str) -> str:
        value = ssh_config.get(key, "")
        return value if isinstance(value, str) else ""

    def path(text: str) -> Path:
        text = text.strip('"').replace("%d", str(home))
        return home / text[2:] if text.startswith("~/") else Path(text)

    own_user = server.ssh_user if "ssh_user" in server.model_fields_set else ""
    port = options.port or (server.ssh_port if server.ssh_port != SSH_PORT else 0) or int(setting("port") or SSH_PORT)
    user_files = options.user_known_hosts_files or tuple(setting("userknownhostsfile").split())
    if not user_files:
        user_files = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
    system_files = setting("globalknownhostsfile").split() or [str(file) for file in SYSTEM_KNOWN_HOSTS]
    identities = ssh_config.get("identityfile", [])
    named = [*options.identity_files, *(identities if isinstance(identities, list) else [identities])]
    only_named = setting("identitiesonly").lower() == "yes"
    alias = setting("hostkeyalias")
    return SshLogin(
        address=server.ssh_ip,
        port=port,
        user=options.user or own_user or setting("user") or server.ssh_user or getpass.getuser(),
        key_names=(alias,) if alias else lookup_names((server.ssh_host, server.ssh_ip, setting("hostname")), port),
        checking=_checking(options.strict_host_key_checking or setting("stricthostkeychecking")),
        known_hosts=tuple(path(file) for file in user_files if file != "none"),
        system_known_hosts=tuple(path(file) for file in system_files if file != "none"),
        identity_files=tuple(dict.fromkeys(path(file) for file in named if file != "none")),
        default_keys=() if only_named and named else tuple(home / ".ssh" / key for key in DEFAULT_KEYS),
        use_agent=setting("identityagent").lower() != "none",
        agent_keys_only_if_named=only_named,
        connect_timeout=options.connect_timeout or server.ssh_connection_timeout,
        proxy=_proxy(setting("proxycommand"), setting("proxyjump")),
    )


def _checking(value: str) -> Checking:
    folded = value.lower()
    if folded in ("no", "off"):
        return "no"
    return "accept-new" if folded == "accept-new" else "yes"


def _proxy(command: str, jump: str) -> str:
    for keyword, value in (("ProxyCommand", command), ("ProxyJump", jump)):
        if value and value.lower() != "none":
            return keyword
    return ""


def load_login(server: ServerConfig) -> SshLogin:
    """The login for ``server``, reading ssh_config as it is now. Raises HostUnreachable when it cannot be used."""
    home = Path.home()
    chosen = server.ssh_options.config_file
    files = [_expand(chosen, home)] if chosen else [home / ".ssh" / "config", SYSTEM_CONFIG]
    merged: dict[str, str | list[str]] = {}
    for file in files:
        try:
            lines = _config_lines(file, file.parent if chosen else home / ".ssh", 0)
            found = _lookup(lines, server.ssh_host, server.ssh_ip)
            merged = {**found, **merged}
        except FileNotFoundError as missing:
            if chosen:
                raise _config_error(server, file, "no such file") from missing
        except (OSError, ValueError, ImportError, paramiko.SSHException) as error:
            raise _config_error(server, file, str(error)) from error
    try:
        return replace(resolve_login(server, merged, home), address=ssh_address_of(server))
    except ValueError as error:
        raise _config_error(server, files[0], str(error)) from error


def _config_error(server: ServerConfig, file: Path, cause: str) -> HostUnreachable:
    where = f"{server.ssh_user or getpass.getuser()}@{server.ssh_ip}:{server.ssh_port}"
    return HostUnreachable(where, f"read {file}", cause, "correct that file, or name another with -F in ssh_options")


def _expand(text: str, home: Path) -> Path:
    return home / text[2:] if text.startswith("~/") else Path(text)


def _config_lines(file: Path, include_base: Path, depth: int) -> list[str]:
    """The lines of an ssh_config with each Include replaced by its files' lines, which paramiko does not do."""
    if depth > INCLUDE_DEPTH:
        raise ValueError(f"Include nested deeper than {INCLUDE_DEPTH} files")
    lines: list[str] = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.replace("=", " ", 1).split()
        if words and words[0].lower() == "match" and {"exec", "!exec"} & {word.lower() for word in words}:
            logger.warning("%s: 'Match exec' is taken as not matching: it would run a program without a deadline", file)
            lines.append(f"Host {NO_HOST}")
            continue
        if not words or words[0].lower() != "include":
            lines.append(line)
            continue
        base = SYSTEM_CONFIG.parent if file.is_relative_to(SYSTEM_CONFIG.parent) else include_base
        for pattern in words[1:]:
            wanted = base / _expand(pattern.strip('"'), Path.home())
            for included in sorted(Path("/").glob(str(wanted).lstrip("/"))):
                lines += _config_lines(included, include_base, depth + 1)
    return lines


def _lookup(lines: list[str], *hosts: str) -> dict[str, str | list[str]]:
    """What an ssh_config says for a host known by several names: what it says for every host, then what is special."""
    parsed = paramiko.SSHConfig.from_text("\n".join(lines))
    general = {**parsed.lookup(NO_HOST)}
    general.pop("hostname", None)
    merged: dict[str, str | list[str]] = dict(general)
    for host in reversed(hosts):
        merged |= {key: value for key, value in parsed.lookup(host).items() if general.get(key) != value}
    return {key: value for key, value in merged.items() if value is not None}
