"""The files that let a plain SSH user have done what needs root, and no more: texts for an operator to install.

Pure. What stands in them of a server's own words (its directories) is quoted, and has no control characters.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator, Sequence

from ...config import ClusterConfig, ConfigError, ServerConfig
from ..address import host_addresses as on_host
from ..probes.host import ServerPaths
from ..scripts import script
from ..ssh.rights import helper_path

#: Seconds after which what the helper does is ended.
LIMIT = 60.0
#: Where the helper notes what it fenced, so that nothing else is ever given free by it.
RECORDS = "/var/lib/mha-host"
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_FENCES = ("fence 0 0", "fence 0 1", "fence 1 0", "fence 1 1", "fence only 0")
_REBUILDS = (
    *"look state begin claim receive prepare cloned size info placed aside stop start finish swap back drop".split(),
    "begin apart",
    "start open",
    "settle 0",
    "settle 1",
)
_ADDRESS = ("look", "release", "acquire", "announce")
_KEEPALIVED = ("look", "stop", "pause", "start", "resume")
#: Stands for the helper's own version while that is computed.
_VERSION = "@version@"


def helper(config: ClusterConfig, server: ServerConfig, places: ServerPaths) -> str:
    """The helper of one server's host, a shell script. Raises ConfigError for a place that cannot be written down."""
    text = script("helper.sh").replace("@facts@", "\n".join(_facts(config, server, places)))
    return text.replace(_VERSION, hashlib.sha256(text.encode()).hexdigest()[:16])


def version_of(text: str) -> str:
    """What that helper answers to ``version``."""
    found = re.search(r"(?m)^version=([0-9a-f]{16})$", text)
    return found[1] if found else ""


def sudoers(config: ClusterConfig, server: ServerConfig, user: str) -> str:
    """The file for /etc/sudoers.d: each line is one way to start the helper. Raises ConfigError."""
    if user == "ALL" or not _USER.fullmatch(user):
        raise ConfigError(f"{user!r} cannot stand in a sudoers file", file=config.path)
    path = helper_path(server)
    lines = [
        f"# What {user} may have done as root for the server at port {server.port} of {config.name}: this alone.",
        f"Defaults!{path} !requiretty",
        *(f"{user} ALL=(root) NOPASSWD: {path} {_escaped(words)}" for words in words_of(config, server)),
    ]
    return "\n".join(lines) + "\n"


def login_options(config: ClusterConfig, server: ServerConfig, come_from: Sequence[str]) -> str:
    """What stands before the manager's key in authorized_keys: from where, and to where sshd forwards for it."""
    ports = {(each.ip, port) for each in config.servers for port in (each.port, each.ssh_port)}
    opened = (f'permitopen="{f"[{ip}]" if ":" in ip else ip}:{port}"' for ip, port in sorted(ports))
    where = [f'from="{",".join(come_from)}"'] if come_from else []
    return ",".join(["restrict", *where, "port-forwarding", 'permitlisten="127.0.0.1:*"', *opened])


def words_of(config: ClusterConfig, server: ServerConfig) -> list[str]:
    """Every way to start the helper."""
    words = ["version", "vitals", "present", *_FENCES, "unfence"]
    words += [*(f"rebuild {verb}" for verb in _REBUILDS), "backup 0", "backup 1"]
    words += [f"{verb} {source}" for source in _sources(config, server) for verb in ("close", "part")]
    words += [f"address {verb}" for verb in _ADDRESS if config.vip_addresses]
    return words + [f"keepalived {verb}" for verb in _KEEPALIVED if "keepalived" in config.vip_provider]


def _escaped(words: str) -> str:
    """For sudoers(5)."""
    return re.sub(r"([][,:=\\])", r"\\\1", words)


def _facts(config: ClusterConfig, server: ServerConfig, places: ServerPaths) -> Iterator[str]:
    instance = [str(server.port), places.pid_file, server.ip, places.datadir, ",".join(places.owned)]
    addresses = ["", *on_host.words_of(server, config)]
    if odd := [
        text
        for text in (*instance, places.logs, server.remote_workdir, *places.directories, *addresses)
        if not text.isprintable()
    ]:
        raise ConfigError(f"{server.name} names a place with control characters: {odd[0]!r}", file=config.path)
    yield f"version={_VERSION}"
    yield f"limit={max(LIMIT, config.vip_timeout):g}"
    yield f"records={RECORDS} record={RECORDS}/{server.port}"
    # Each is called with a script's function and the script's own words.
    words = f"vitals) set -- {shlex.join(places.directories)} ;; *) shift ;;"
    yield f'of_instance() {{ f=$1; shift; case $1 in {words} esac; "$f" {shlex.join(instance)} "$@"; }}'
    yield f'of_data() {{ "$1" {shlex.join([*instance, places.logs])} "$2" "$3"; }}'
    yield f'of_backup() {{ "$1" {shlex.quote(server.remote_workdir)} "$2" {shlex.quote(places.datadir)}; }}'
    yield f'of_addresses() {{ {_only(config.vip_addresses)}"$1" "$2" {shlex.join(addresses)}; }}'
    keepalived = ["", server.keepalived_config, server.keepalived_pid_file]
    yield f'of_keepalived() {{ {_only("keepalived" in config.vip_provider)}"$1" "$2" {shlex.join(keepalived)}; }}'
    sources = " | ".join(shlex.quote(source) for source in _sources(config, server)) or "nobody"
    yield f"known_source() {{ case $1 in {sources}) return 0 ;; *) return 1 ;; esac; }}"


def _only(wanted: object) -> str:
    return "" if wanted else "exit 2; "


def _sources(config: ClusterConfig, server: ServerConfig) -> list[str]:
    """Whom its replica may try to reach: address and port, an IPv6 address in the brackets that ss wants."""
    others = [each for each in config.servers if each is not server]
    return [f"{f'[{each.ip}]' if ':' in each.ip else each.ip} {each.port}" for each in others]
