"""Whether the address comes before the opening: where moving it may end the failover."""

from __future__ import annotations

import pytest

from prefect_mha.config.address import may_forbid


@pytest.mark.parametrize(
    ("providers", "script", "on_failure", "forbids"),
    [
        (("script",), False, "go_on", False),
        (("script",), False, "abort", False),
        (("script",), True, "go_on", True),
        (("ip",), False, "go_on", False),
        (("ip",), True, "go_on", False),
        (("ip", "haproxy"), False, "abort", True),
        (("haproxy", "script"), True, "go_on", True),
        (("proxysql",), False, "go_on", False),
        (("of-a-site",), False, "go_on", True),
    ],
)
def test_what_may_forbid_a_failover(providers: tuple[str, ...], script: bool, on_failure: str, forbids: bool) -> None:
    assert may_forbid(providers, script=script, on_failure=on_failure) is forbids
