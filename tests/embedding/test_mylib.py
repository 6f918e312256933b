"""A library of one's own in every place: what its author writes."""

from __future__ import annotations

from typing import Any

import golib

mylib = golib.package("./mylib")


@golib.everywhere(mylib)
def test_visit(lib: Any) -> None:
    seen: list[int] = []
    lib.MylibVisit(3, lib.visit_fn(seen.append))
    assert seen == [0, 1, 2]


@golib.everywhere(mylib)
def test_a_callback_calls_again(lib: Any) -> None:
    def count(number: int) -> int:
        return int(lib.MylibCount(f"name {number}"))

    assert lib.MylibSum(lib.slice("int64", [1, 2, 3]), lib.map_fn(count)) >= 3


@golib.everywhere(mylib)
def test_goroutines_call_back(lib: Any) -> None:
    seen: list[int] = []
    lib.MylibElsewhere(4, lib.visit_fn(seen.append))
    assert sorted(seen) == [0, 1, 2, 3]


@golib.everywhere(mylib)
def test_a_goroutine_that_changes_its_thread_between_two_calls(lib: Any) -> None:
    seen: list[int] = []

    def call_again(lap: int) -> int:
        lib.MylibVisit(2, lib.visit_fn(seen.append))
        return lap

    assert lib.MylibWander(4, lib.map_fn(call_again)) == 3
    assert seen == [0, 1] * 4


@golib.everywhere(mylib)
def test_a_panic_through_c_is_recovered(lib: Any) -> None:
    assert lib.MylibRecover(3) == 3


@golib.everywhere(mylib)
def test_a_timer(lib: Any) -> None:
    lib.MylibSleep(10)


@golib.everywhere(mylib)
def test_a_signal(lib: Any) -> None:
    assert lib.MylibSignal()
