"""Two servers that take writes at once are told from one that takes over from the other."""

from __future__ import annotations

from tests.lab.local_writer import Taken, two_writable


def test_one_after_the_other_is_no_overlap() -> None:
    assert two_writable([]) == []
    assert two_writable([Taken(1.0, 1.1, "db1"), Taken(2.0, 2.1, "db1"), Taken(2.2, 2.3, "db2")]) == []


def test_a_write_that_was_sent_before_and_acknowledged_late_is_no_overlap() -> None:
    assert two_writable([Taken(1.0, 1.1, "db1"), Taken(1.2, 3.0, "db1"), Taken(2.0, 2.1, "db2")]) == []


def test_a_write_that_the_old_one_takes_afterwards_is_told() -> None:
    late = Taken(2.2, 2.3, "db1")
    assert two_writable([Taken(1.0, 1.1, "db1"), Taken(2.0, 2.1, "db2"), late, Taken(2.4, 2.5, "db2")]) == [late]


def test_the_last_one_may_go_on() -> None:
    order = ["db1", "db2", "db3"]
    assert two_writable([Taken(n, n + 0.1, host) for n, host in enumerate(order)]) == []
    back = Taken(5.0, 5.1, "db2")
    assert two_writable([*(Taken(n, n + 0.1, host) for n, host in enumerate(order)), back]) == [back]
