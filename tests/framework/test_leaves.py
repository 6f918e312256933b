"""Leaves of a library's own: Go functions that a call tree calls by name."""

from __future__ import annotations

import pytest

import golib
from golib import C, Case, Do, Go, IllegalCase, Python, Thread
from golib.case.calltree import parse
from golib.door import Subject
from golib.judge.outcome import Kind
from golib.toolchains.build import build
from golib.toolchains.toolchain import Toolchain

SOURCE = """package main

// #include <signal.h>
// static void block(void) {
// 	sigset_t set;
// 	sigemptyset(&set);
// 	sigaddset(&set, SIGUSR2);
// 	pthread_sigmask(SIG_BLOCK, &set, 0);
// }
// extern void Nothing(void);
// static void calls(void) { Nothing(); }
import "C"

func main() {}

//export Nothing
func Nothing() {}

func block() { C.block() }
func calls() { C.calls() }
"""
LEAVES = """//go:build golib

package main

import (
	"os"

	golib "pytest-golib.invalid/bridge"
)

func init() {
	golib.Leaf("read", func() { os.ReadFile("/proc/self/stat") })
	golib.Leaf("calls", calls)
	golib.Leaf("block", block)
	golib.Leaf("panics", func() { panic("of a leaf") })
}
"""


@pytest.fixture(scope="session")
def library(go_on_path: Toolchain, testrun_uid: str, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("leaves")
    (folder / "go.mod").write_text("module example.com/leaves\n\ngo 1.21\n")
    (folder / "main.go").write_text(SOURCE)
    (folder / "leaves_for_golib.go").write_text(LEAVES)
    return golib.open(build(go_on_path, package=folder))


@pytest.mark.parametrize("name", ["read", "calls"])
def test_a_leaf_runs_in_go(library: Subject, name: str) -> None:
    case = Case(Go(Do(name), C(Go(Do(name), Do(name))), Thread(Python(Go(Do(name))))))
    outcome = library.run(case)
    assert outcome.kind is Kind.PASSED, f"{outcome.headline}\n{outcome.stderr}"
    assert [event.did for event in outcome.events if event.phase.name == "DID"] == [1, 1, 1, 1]


def test_what_it_leaves_changed_is_a_fault(library: Subject) -> None:
    outcome = library.run(Case(C(Go(Do("block")))))
    assert outcome.kind is Kind.DIVERGENCE
    assert "sigmask" in {found.field for found in outcome.divergences}


def test_what_it_panics_with_is_gos_word(library: Subject) -> None:
    assert library.run(Case(Go(Do("panics")))).headline == "panic: of a leaf"


def test_a_leaf_that_is_not_there_is_a_sentence(library: Subject, subject: Subject) -> None:
    with pytest.raises(
        IllegalCase, match=r"^node 1: the library registers no leaf of that name; it has read, "
    ):
        library.run(Case(Go(Do("write"))))
    with pytest.raises(IllegalCase, match=r"no leaf of that name; it registers none$"):
        subject.run(Case(Go(Do("read"))))
    with pytest.raises(IllegalCase, match=r"it names no function; register one"):
        library.run(Case(Go(Do())))


def test_it_survives_its_text() -> None:
    case = Case(Go(Do("read")))
    assert parse(repr(case)) == Case.from_json(case.to_json()) == case
