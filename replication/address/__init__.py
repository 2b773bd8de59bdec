"""The address that applications use: providers, and the chain of those that a configuration names."""

from __future__ import annotations

from prefect_mha.replication.address.chain import AddressChain, AddressMove, chain_of
from prefect_mha.replication.address.provider import AddressLocation, AddressProvider, AddressStep
from prefect_mha.replication.address.script import FailoverCalls, OnlineChangeCalls, ScriptCalls

__all__ = [
    "AddressChain",
    "AddressLocation",
    "AddressMove",
    "AddressProvider",
    "AddressStep",
    "FailoverCalls",
    "OnlineChangeCalls",
    "ScriptCalls",
    "chain_of",
]
