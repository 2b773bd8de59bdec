"""What may be written about the address: one value at a time, and which values need each other."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable
from importlib.metadata import entry_points
from urllib.parse import urlsplit

#: The group in which other packages offer providers.
PROVIDER_GROUP = "prefect_mha.address_providers"
BUILT_IN = ("ip", "keepalived", "haproxy", "script")
#: Parameters that a provider is of no use without.
NEEDED = {"ip": "vip_addresses", "keepalived": "vip_addresses", "haproxy": "haproxy_sockets"}


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
