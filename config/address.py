"""What may be written about the address, and about those who ask where it is: parameters, values, and which of them
need each other."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Policy = Literal["refuse", "go_on"]
OnFailure = Literal["abort", "go_on"]

#: The group in which other packages offer providers.
PROVIDER_GROUP = "prefect_mha.address_providers"
BUILT_IN = ("ip", "keepalived", "haproxy", "proxysql", "script")
#: Parameters that a provider is of no use without.
NEEDED = {
    "ip": "vip_addresses",
    "keepalived": "vip_addresses",
    "haproxy": "haproxy_sockets",
    "proxysql": "proxysql_admins",
}


class AddressParameters(BaseModel):
    """What moves the address that applications use, and what load balancers are told."""

    model_config = ConfigDict(frozen=True)

    vip_provider: tuple[str, ...] = Field(
        ("script",),
        description="Modern: what moves the address, in order: ip, keepalived, haproxy, proxysql, script, …",
    )
    vip_addresses: tuple[str, ...] = Field(
        (), description="Modern: virtual addresses with their prefix lengths, as 10.0.0.55/24 or 2001:db8::55/64."
    )
    vip_label: str | None = Field(None, description="Modern: label of an IPv4 address: 1 makes eth0:1 of it.")
    vip_announcements: int = Field(
        5, gt=0, lt=101, description="Modern: how often the neighbours are told (ARP, NA), 0.4 s apart."
    )
    vip_duplicate: Policy = Field(
        "refuse", description="Modern: refuse or go_on when somebody else answers for an address."
    )
    vip_duplicate_wait: float = Field(
        0.2, gt=0, allow_inf_nan=False, description="Modern: seconds that others have to answer."
    )
    vip_on_failure: OnFailure = Field(
        "go_on", description="Modern: abort or go_on when the new primary cannot have the address."
    )
    vip_timeout: float = Field(
        10.0, gt=0, allow_inf_nan=False, description="Modern: seconds for each half of a move, on each host or proxy."
    )
    keepalived_router_id: int = Field(
        51, gt=0, lt=256, description="Modern: virtual_router_id that `mha keepalived-config` writes."
    )
    haproxy_sockets: tuple[str, ...] = Field(
        (), description="Modern: HAProxy's admin sockets: tcp://host:port or ssh://user@host:port/run/haproxy.sock."
    )
    haproxy_writer: str = Field("mha_writer", description="Modern: the backend that takes writes.")
    haproxy_reader: str = Field("mha_reader", description="Modern: the backend that takes reads.")
    haproxy_writer_port: int = Field(3307, gt=0, lt=65536, description="Modern: HAProxy's port for writes.")
    haproxy_reader_port: int = Field(3308, gt=0, lt=65536, description="Modern: HAProxy's port for reads.")
    haproxy_state_file: str = Field(
        "/var/lib/haproxy/mha.state", description="Modern: where HAProxy finds its servers' states when it starts."
    )
    haproxy_max_lag: int = Field(5, gt=-1, description="Modern: seconds a replica may be behind and still take reads.")
    haproxy_drain: float = Field(
        1.0,
        gt=-1,
        allow_inf_nan=False,
        description="Modern: seconds that a planned switch lets sessions on the old primary end by themselves.",
    )
    haproxy_stats_port: int = Field(
        0, gt=-1, lt=65536, description="Modern: HAProxy's port for its page of statistics; 0: none."
    )
    proxysql_admins: tuple[str, ...] = Field(
        (), description="Modern: ProxySQL's admin interfaces, as 10.0.0.9:6032, comma separated."
    )
    proxysql_user: str = Field(
        "radmin", description="Modern: account of admin-admin_credentials; `admin` may only come from ProxySQL's host."
    )
    proxysql_password: SecretStr | None = Field(
        None, description="Modern: its password; `env:NAME`, `file:/path` and `prefect:NAME` are followed."
    )
    proxysql_writer: int = Field(10, gt=-1, description="Modern: the hostgroup that takes writes.")
    proxysql_reader: int = Field(20, gt=-1, description="Modern: the hostgroup that takes reads.")
    health_port: int = Field(
        0, gt=-1, lt=65536, description="Modern: HTTP port of the manager's checks for load balancers; 0: none."
    )
    # Balancers are elsewhere, and nothing can be changed there, nor is any of it secret.
    health_address: str = Field("0.0.0.0", description="Modern: address that it listens on.")  # noqa: S104
    health_url: str | None = Field(
        None, description="Modern: where load balancers find it, as 10.0.0.9:8900; needed by `mha haproxy-config`."
    )


def may_forbid(providers: Iterable[str], *, script: bool, on_failure: str) -> bool:
    """Whether moving the address may end a failover, so that it comes before anything is opened.

    A ``script`` decides by its exit code, a site's own provider may, and all do where `vip_on_failure` is abort.
    """
    others = set(providers) - {"script"}
    decides = (script and "script" in providers) or others - set(BUILT_IN)
    return bool(decides or (others and on_failure == "abort"))


def provider_names() -> tuple[str, ...]:
    """Every provider that `vip_provider` may name: the built-in ones, and those that other packages offer."""
    return (*BUILT_IN, *sorted(entry_points(group=PROVIDER_GROUP).names))


def provider_problem(name: str) -> str:
    """What is wrong with one name in `vip_provider`; empty when nothing is."""
    known = provider_names()
    if name in known:
        return ""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"names {name!r}, which is none of {', '.join(known)}{hint}"


def vip_problem(text: str) -> str:
    """What is wrong with one virtual address; empty when nothing is."""
    try:
        address = ipaddress.ip_interface(text).ip
    except ValueError as error:
        return f"holds what is no address: {error}"
    if "/" not in text:
        return f"needs the prefix length behind {text}, as in {text}/{24 if address.version == 4 else 64}"
    return ""


def socket_problem(text: str) -> str:
    """What is wrong with one of HAProxy's sockets; empty when nothing is."""
    problem = f"must be tcp://host:port or ssh://user@host:port/path, not {text!r}"
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return problem
    if url.scheme == "tcp":
        return "" if url.hostname and port and not url.path else problem
    return "" if url.scheme == "ssh" and url.hostname and len(url.path) > 1 else problem


def admin_problem(text: str) -> str:
    """What is wrong with one of ProxySQL's admin interfaces; empty when nothing is."""
    problem = f"must be host:port, not {text!r}"
    try:
        url = urlsplit(f"//{text}")
        good = url.hostname and url.port and not (url.path or url.username is not None)
    except ValueError:
        return problem
    return "" if good else problem


def combination_problem(
    providers: Iterable[str], given: Iterable[str], addresses: Iterable[str], servers: Iterable[str]
) -> tuple[str, str] | None:
    """The parameter and the sentence when values do not go together. ``given`` are the parameters that have a value,
    ``servers`` the servers' own addresses."""
    named, given, addresses = tuple(providers), set(given), tuple(addresses)
    for name in named:
        if named.count(name) > 1:
            return "vip_provider", f"names {name} twice"
        if (needed := NEEDED.get(name)) and needed not in given:
            return "vip_provider", f"names {name}, which needs {needed}"
    if {"ip", "keepalived"} <= set(named):
        return "vip_provider", "names ip and keepalived, which would both move the same addresses"
    own = set(servers)
    for text in addresses:
        if str(ipaddress.ip_interface(text).ip) in own:
            return "vip_addresses", f"holds {text}, which is a server's own address"
    return None
