"""A library as shipped, driven from outside: what is run, seen, judged and refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from shipped_library import MODULE

import golib
from golib import C, Case, Go, IllegalCase, Python, Setrlimit, Signal, Stack, Thread, Together
from golib.case import calltree
from golib.case.calltree import GC, Export, Node, SchedYield
from golib.case.script import Phase
from golib.door import Subject
from golib.judge import known
from golib.judge.footprint import footprints, ratio
from golib.judge.outcome import Kind
from golib.run.trace import Left
from golib.toolchains import outside
from golib.toolchains.build import BuildError
from golib.toolchains.outside import Outside
from golib.toolchains.shipped import ShippedError


@pytest.fixture(scope="session")
def shipped(shipped_library: Path) -> Subject:
    return golib.open(Outside(shipped_library, (str(shipped_library.parent),)))


def scenario(name: str) -> Python:
    return Python(call=f"{MODULE}:{name}")


ADD = scenario("add")

PLACES = {
    "main": Case(ADD),
    "python": Case(Python(ADD)),
    "python-thread": Case(Thread(ADD, kind="python", stack=65536)),
    "native": Case(Thread(ADD, stack=65536)),
    "memory": Case(Thread(ADD, kind="memory")),
    "deep": Case(C(ADD, stack=1 << 20)),
    "below": Case(Stack(ADD, region=-1)),
    "above": Case(Stack(C(ADD, Signal(name="SIGURG"), ADD), region=2)),
    "hidden": Case(C(ADD, Stack(ADD), ADD), bounds="hidden"),
    "together": Case(Together(*(Thread(ADD, kind=kind) for kind in ("native", "python", "memory") * 2))),
    "threads": Case(C(Thread(ADD), times=300)),
    "signals": Case(C(ADD, times=50), signals="SIGURG"),
    "limit": Case(C(ADD, Setrlimit(stack=1 << 20), ADD, SchedYield()), stack_limit="unlimited"),
    "settings": Case(ADD, godebug="clobberfree=1", gomaxprocs=1, blocked="SIGUSR1"),
}


@pytest.mark.parametrize("place", PLACES)
def test_each_place_is_driven(shipped: Subject, place: str) -> None:
    outcome = shipped.run(PLACES[place])
    assert outcome.kind is Kind.PASSED, f"{outcome.headline}\n{outcome.stderr}"
    assert all(event.m == 0 and not event.values for event in outcome.events)
    assert any(Left.unpacked(event.did).threads for event in outcome.events if event.phase is Phase.LEAVING)


def test_questions_are_counted_for_their_thread_and_their_answers_hidden(shipped: Subject) -> None:
    """A thread's first callback asks (runtime/cgo, x_cgo_getstackbound)."""
    for bounds in ("real", "hidden"):
        outcome = shipped.run(Case(Thread(ADD), bounds=bounds))
        before, after = (event for event in outcome.events if event.node == 1)
        assert before.queries == 0
        assert after.queries >= 1
        lo, hi = after.told
        assert (lo < after.sp <= hi) if bounds == "real" else (lo, hi) == (0, 0)


def test_a_question_of_pythons_is_not_the_librarys(shipped: Subject) -> None:
    outcome = shipped.run(Case(Thread(scenario("python_asks"))))
    assert outcome.kind is Kind.PASSED, outcome.headline
    assert {event.queries for event in outcome.events if event.node == 1} == {0}


def test_it_dies_in_gos_words(shipped: Subject) -> None:
    outcome = shipped.run(Case(Thread(scenario("panic"))))
    assert (outcome.kind, outcome.headline) == (Kind.FATAL, "panic: as shipped")
    assert outcome.divergences == ()


def test_a_hang_is_found_and_says_where(shipped: Subject) -> None:
    outcome = shipped.run(Case(scenario("hang")), timeout=1.0)
    assert outcome.kind is Kind.HANG
    assert "main.Hang" in outcome.stderr


def test_a_process_that_leaves_is_lost(shipped: Subject) -> None:
    assert shipped.run(Case(scenario("leave"))).kind is Kind.LOST


@pytest.mark.parametrize("place", [lambda node: node, lambda node: Thread(node), lambda node: Stack(node)])
def test_a_mask_that_is_left_changed_is_a_divergence(shipped: Subject, place: object) -> None:
    outcome = shipped.run(Case(C(place(scenario("mask")))))  # type: ignore[operator]
    assert outcome.kind is Kind.DIVERGENCE
    first = outcome.divergences[0]
    assert (first.field, first.label) == ("sigmask", scenario("mask").label)


def test_it_is_the_second_of_three_calls(shipped: Subject) -> None:
    second = scenario("mask_the_second")
    outcome = shipped.run(Case(C(second, second, second)))
    assert [(found.node, found.field) for found in outcome.divergences] == [(2, "sigmask")]


def test_what_is_left_behind_is_counted_from_after_the_first_call(shipped: Subject) -> None:
    (left,) = footprints(shipped.run(Case(C(scenario("keep"), times=11))))
    assert (left.calls, left.descriptors) == (11, 10)
    assert left.threads >= 5  # each call keeps one, and Go had some in stock
    (left,) = footprints(shipped.run(Case(C(scenario("nothing"), times=11))))
    # Go was still starting in the first call, and had a file open, perhaps.
    assert (left.descriptors <= 0, left.questions, left.asking) == (True, 0, 10)


def test_the_time_of_a_call_is_told_and_compared(shipped: Subject) -> None:
    on_main, elsewhere = (
        footprints(shipped.run(Case(tree)))[0] for tree in (C(ADD, times=20), Thread(C(ADD, times=20)))
    )
    assert on_main.microseconds is not None
    assert 0 < on_main.microseconds < 100_000
    compared = ratio(on_main, elsewhere)
    assert compared is not None
    assert compared > 0
    (once,) = footprints(shipped.run(Case(ADD)))
    assert once.microseconds is None
    assert ratio(once, on_main) is None


def test_what_a_scenario_raises_is_its_own(shipped: Subject) -> None:
    outcome = shipped.run(Case(Thread(scenario("fails"))))
    assert (outcome.kind, outcome.headline) == (Kind.RAISED, "ZeroDivisionError: division by zero")
    assert "in fails" in outcome.stderr
    assert known.verdict(outcome, "1.22.5", known.shipped()).status == "failed"


@pytest.mark.parametrize(
    ("node", "label"),
    [
        (Go(), "Go()"),
        (Go(GC()), "Go()"),
        (C(Thread(Go())), "Go()"),
        (Export(name="GoEmpty"), "Export(name='GoEmpty')"),
    ],
)
def test_a_go_frame_is_refused(shipped: Subject, node: Node, label: str) -> None:
    with pytest.raises(IllegalCase, match=r"only a library that golib builds has golib's Go frames") as error:
        shipped.run(Case(node))
    assert f", {label}: " in str(error.value)


@pytest.mark.parametrize("world", [{"on": ("trace",)}, {"bounds": "absent"}])
def test_a_world_that_needs_a_build_is_refused(shipped: Subject, world: dict[str, object]) -> None:
    with pytest.raises(IllegalCase, match=r"only a library that golib builds can have that"):
        shipped.run(Case(ADD, **world))  # type: ignore[arg-type]


def test_a_scenario_has_no_body(shipped: Subject) -> None:
    with pytest.raises(IllegalCase, match=r"a scenario has no body"):
        shipped.run(Case(Python(C(), call=ADD.call)))


@pytest.mark.parametrize("call", ["golib_nowhere:add", f"{MODULE}:nowhere"])
def test_a_scenario_that_is_not_there_is_a_sentence(shipped: Subject, call: str) -> None:
    with pytest.raises(IllegalCase, match=rf"^call='{call}' cannot be had: .*nowhere"):
        shipped.run(Case(Python(call=call)))


@pytest.mark.parametrize("call", ["nowhere", ":f", "m:", "test_it.py::test_it"])
def test_a_call_that_names_nothing_is_refused(shipped: Subject, call: str) -> None:
    with pytest.raises(IllegalCase, match=f"^call={call!r} is neither "):
        shipped.run(Case(Python(call=call)))


def test_what_is_no_go_library_is_not_opened() -> None:
    with pytest.raises(ShippedError, match="has no Go in it"):
        golib.open(Outside(outside.driver()))


def test_it_is_said_what_is_not_seen() -> None:
    for word in ("not judged", "bounds", "reported only"):
        assert word in outside.NOT_SEEN


def test_a_scenario_survives_print_and_json() -> None:
    case = Case(C(ADD))
    assert calltree.parse(repr(case)) == Case.from_json(case.to_json()) == case


# The driver.


def test_the_driver_has_what_a_node_without_go_names() -> None:
    exported = subprocess.run(
        ["nm", "-D", "--defined-only", str(outside.driver())], capture_output=True, text=True, check=True
    )
    functions = {line.split()[-1] for line in exported.stdout.splitlines()}
    needs_go = {"golib_frame_go", "golib_frame_export"}
    assert {of.symbol for of in calltree.NODES.values() if of.symbol} - needs_go <= functions
    assert "golib_frame_go" not in functions


def test_without_its_preload_nothing_is_counted_and_so_nothing_run(shipped_library: Path) -> None:
    program = (
        "import sys; from golib.run import binding\n"
        "try: binding.Bridge(*sys.argv[1:])\n"
        "except binding.BindingError as error: print(error)"
    )
    driver = str(outside.driver())
    command = [sys.executable, "-c", program, driver, str(shipped_library)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"LD_PRELOAD={driver} had no effect: questions would not be counted\n"
    preloaded = os.environ | dict(outside.variables())
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=preloaded)
    assert done.stdout == ""


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOLIB_CACHE", str(tmp_path / "cache"))
    outside.driver.cache_clear()
    monkeypatch.setattr(outside, "driver", outside.driver.__wrapped__)
    return tmp_path / "cache"


def test_it_is_compiled_once(own_cache: Path) -> None:
    first = outside.driver()
    made = first.stat().st_mtime_ns
    assert outside.driver() == first
    assert first.stat().st_mtime_ns == made
    assert {path.name for path in first.parent.iterdir()} <= {"lock", first.name}


def test_other_sources_are_another_driver(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = outside.driver()
    changed = tmp_path / "outside.c"
    changed.write_text(outside.SOURCES[-1].read_text() + "\n")
    monkeypatch.setattr(outside, "SOURCES", (*outside.SOURCES[:-1], changed))
    assert outside.driver() != first


def test_a_compiler_that_is_not_there(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "golib-no-compiler")
    with pytest.raises(BuildError, match=r"'golib-no-compiler' is not on PATH.*install it or set CC"):
        outside.driver()


def test_the_compilers_own_words(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.c"
    broken.write_text("int nothing(void) { return golib_is_not_declared; }\n")
    monkeypatch.setattr(outside, "SOURCES", (*outside.SOURCES, broken))
    with pytest.raises(BuildError, match="golib_is_not_declared"):
        outside.driver()
    assert not list(own_cache.rglob("*.so"))


def test_a_folder_that_cannot_be_preloaded_from(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLIB_CACHE", str(tmp_path / "a folder"))
    with pytest.raises(BuildError, match=r"LD_PRELOAD takes no path with a space.*set GOLIB_CACHE"):
        outside.driver()
