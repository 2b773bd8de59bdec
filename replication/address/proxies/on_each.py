"""Several proxies at once, whatever becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ...errors import AddressError
from ...threads import ThreadPool

P = TypeVar("P")
R = TypeVar("R")


def on_each(provider: str, proxies: Sequence[P], work: Callable[[P], R]) -> tuple[R, ...]:
    """Do it on every proxy, whatever becomes of the others; AddressErrors are raised when all were tried."""
    with ThreadPool(max_workers=len(proxies), thread_name_prefix=provider) as pool:
        futures = [pool.submit(work, proxy) for proxy in proxies]
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, AddressError):
            raise error
    if len(errors) > 1:
        raise AddressError(provider, f"{len(errors)} of {len(futures)} proxies", "; ".join(map(str, errors)))
    if errors:
        raise errors[0]
    return tuple(future.result() for future in futures)
