"""A user's library that is broken on purpose, in four ways: each is found, and the failure says where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_plugin import Run, Suite

import golib
from golib import Case, Thread
from golib.case.calltree import Export
from golib.toolchains.build import build
from golib.toolchains.toolchain import Toolchain

SOURCE = r"""package main

// #define _GNU_SOURCE
// #include <pthread.h>
// #include <signal.h>
// #include <stdint.h>
// #include <sys/mman.h>
// #include <ucontext.h>
// typedef void (*visit_fn)(int);
// static void visit(visit_fn f, int i) { f(i); }
// static void block(void) {
// 	sigset_t set;
// 	sigemptyset(&set);
// 	sigaddset(&set, SIGUSR2);
// 	pthread_sigmask(SIG_BLOCK, &set, 0);
// }
// static void nothing(void) {}
// static void on_a_freed_stack(void) {
// 	static ucontext_t here, there;
// 	size_t size = 1 << 16;
// 	void *stack = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
// 	getcontext(&there);
// 	there.uc_stack.ss_sp = stack;
// 	there.uc_stack.ss_size = size;
// 	there.uc_link = &here;
// 	makecontext(&there, nothing, 0);
// 	munmap(stack, size);
// 	swapcontext(&here, &there);
// }
import "C"

import "sync"

func main() {}

//export BadVisit
func BadVisit(n C.int, f C.visit_fn) {
	for i := C.int(0); i < n; i++ {
		C.visit(f, i)
	}
}

// BadBlock leaves a signal blocked, when it is told to.
//
//export BadBlock
func BadBlock(block bool) {
	if block {
		C.block()
	}
}

//export BadFree
func BadFree() { C.on_a_freed_stack() }

var one, two sync.Mutex
var calls int

// BadLock takes its locks in an order that depends on the call.
//
//export BadLock
func BadLock(number int, f C.visit_fn) {
	first, second := &one, &two
	if number%2 == 1 {
		first, second = second, first
	}
	first.Lock()
	C.visit(f, 0)
	second.Lock()
	second.Unlock()
	first.Unlock()
}

//export BadHalf
func BadHalf(number int64) int64 { return int64(int32(number)) }
"""

HEAD = """\
import golib

bad = golib.package("./bad")
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    folder = tmp_path / "suite"
    (folder / "bad").mkdir(parents=True)
    (folder / "bad" / "go.mod").write_text("module example.com/bad\n\ngo 1.21\n")
    (folder / "bad" / "bad.go").write_text(SOURCE)
    return Suite(folder)


def run(suite: Suite, text: str, *arguments: str) -> Run:
    suite.write("test_it.py", HEAD + text)
    return suite.run(*arguments)


def test_a_callback_that_leaves_the_mask_changed(suite: Suite) -> None:
    text = """
@golib.everywhere(bad, ["main", "native", "foreign-above"])
def test_it(lib):
    for number in range(3):
        lib.BadBlock(number == 1)
"""
    seen = run(suite, text)
    seen.says("3 failed", "crossed callback 2 in C: sigmask is 2048, expected 0: a callback gives")
    # What comes after it begins with that mask: nobody else is blamed but the scenario, which leaves it so.
    for number in (1, 3):
        assert f"crossed callback {number} in C: sigmask" not in seen.output
    seen.says("leaving in C: sigmask")


def test_c_on_a_stack_that_was_freed(suite: Suite) -> None:
    text = """
@golib.everywhere(bad, ["main", "native"])
def test_it(lib): lib.BadFree()
"""
    seen = run(suite, text)
    seen.says("2 failed", "fatal: SIGSEGV: segmentation violation", "where the library stood:")
    assert (
        len(re.findall(r"^    main\.BadFree \(bad\.go:\d+\), goroutine \d+, syscall$", seen.output, re.M))
        == 2
    )


def test_a_deadlock_of_two_threads(suite: Suite) -> None:
    """Each waits, with a lock of its own, for the other's: found where threads call at once."""
    text = """
import threading

numbers = iter(range(8))
met = threading.Barrier(2)

@golib.everywhere(bad, ["main", "together"])
def test_it(lib, request):
    number = next(numbers)
    wait = met.wait if "together" in request.node.name and number < 2 else int
    lib.BadLock(number, lib.visit_fn(lambda _: wait() and None)) if number < 2 else None
"""
    seen = run(suite, text, "--golib-timeout=2")
    seen.says("1 failed, 1 passed", "hang: it did not come to its end in time", "where the library stood:")
    assert (
        len(set(re.findall(r"^    main\.BadLock \(bad\.go:\d+\), goroutine (\d+), ", seen.output, re.M))) == 2
    )


def test_half_a_result(suite: Suite) -> None:
    text = """
@golib.everywhere(bad, "native")
def test_it(lib): assert lib.BadHalf(1 << 40 | 1) == 1 << 40 | 1
"""
    run(suite, text).says("1 failed", "assert 1 == ((1 << 40) | 1)")


def test_half_a_result_of_a_case(go_on_path: Toolchain, suite: Suite) -> None:
    bad = golib.open(build(go_on_path, package=suite.folder / "bad"))
    value = 1 << 40 | 1
    outcome = bad.run(Case(Thread(Export(name="BadHalf", args=(value,), returns=value))))
    assert [(found.label, found.key) for found in outcome.divergences] == [
        (f"Export(name='BadHalf', args=({value},), returns={value})", "value did")
    ]
