"""The address that applications use: providers, and the chain of those that a configuration names."""

from __future__ import annotations

from prefect_mha.replication.address.chain import AddressChain, Moved, chain_of
from prefect_mha.replication.address.provider import AddressProvider, Half, Place
from prefect_mha.replication.address.script import FailoverCalls, OnlineChangeCalls, ScriptCalls

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
