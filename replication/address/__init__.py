"""The address that applications use: providers, and the chain of those that a configuration names."""

from __future__ import annotations

from replication.address.chain import AddressChain, Moved, chain_of
from replication.address.provider import AddressProvider, Half, Place
from replication.address.script import FailoverCalls, OnlineChangeCalls, ScriptCalls

__all__ = [
    "AddressChain",
    "AddressProvider",
    "FailoverCalls",
    "Half",
    "Moved",
    "OnlineChangeCalls",
    "Place",
    "ScriptCalls",
    "chain_of",
]
