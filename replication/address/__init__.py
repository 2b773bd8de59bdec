"""The address that applications use: providers, and the chain of those that a configuration names."""

from __future__ import annotations

from .chain import AddressChain, AddressMove, chain_of
from .provider import AddressLocation, AddressProvider, AddressStep
from .script import FailoverCalls, OnlineChangeCalls, ScriptCalls

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
