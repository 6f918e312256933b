"""Every small case: all of them, each once, and what is left out says no more than what is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from golib import C, Case, Export, Go, Panic, Stack, Thread, Together, exhaustive, fuzz
from golib.case import calltree, every, legality, phrases
from golib.case.calltree import (
    AtEnd,
    Fault,
    Give,
    Next,
    Node,
    Notify,
    Pull,
    Resume,
    Signal,
    Suspend,
    TurnOff,
    TurnOn,
)
from golib.door import Subject
from golib.exhaustive import Kept
from golib.toolchains.toolchain import Toolchain
from tools import filters

ROOT = Path(__file__).parent.parent.parent
SUITE = ROOT / "tests" / "runtime" / "test_exhaustive.py"
TOP = every.top({})
SECONDS = 120
"""For one run of pytest: only a broken golib needs them."""


def made(nodes: int, whole: bool = False) -> list[Case]:
    """Every case of up to so many nodes."""
    sizes = range(1, nodes + 1)
    return [Case(*trees) for size in sizes for trees in every.trees(size, TOP, whole).kept]


def kinds(case: Case) -> set[str]:
    return {type(placed.node).__name__ for placed in case.walk()}


def legal(cases: Iterable[Case]) -> list[Case]:
    def is_legal(case: Case) -> bool:
        try:
            legality.check(case)
        except calltree.IllegalCase:
            return False
        return True

    return [case for case in cases if is_legal(case)]


def test_of_one_node_they_are_those_that_call_go() -> None:
    various = "callGoWithVariousStackAndGoFrame"
    assert set(made(1)) == {
        Case(Go()),
        Case(Export(name="GoF")),
        Case(Export(name=various)),
        Case(Export(name=various, p=1)),
    }


def test_each_is_there_once_with_every_kind_that_is_drawn() -> None:
    cases = made(3)
    assert len(set(cases)) == len(cases)
    assert {case.size() for case in cases} == {1, 2, 3}
    drawn = {name for name, kind in calltree.NODES.items() if kind.weight or kind in phrases.WORDS}
    # Together is two threads at the least, and both call Go.
    assert set().union(*map(kinds, cases)) == drawn - {"Together"}
    # These have two others at the least, and something that calls Go.
    longer = {"Together", "Take", "Give", "Suspend", "Resume"}
    assert set().union(*map(kinds, legal(cases))) == drawn - longer
    threads = {p.node.kind for case in cases for p in case.walk() if isinstance(p.node, Thread)}
    assert threads == {"native", "python", "memory", "go"}


@pytest.mark.parametrize(
    "case",
    [
        Case(Go(Fault(), recover=True)),
        Case(Thread(AtEnd(Go()))),
        Case(Go(Pull(Give()), Next())),
        Case(Stack(Suspend()), Go(), Resume()),
        Case(Go(TurnOn()), Go(TurnOff())),
        Case(Go(Notify()), Signal(name="SIGUSR2"), Go()),
        Case(Signal(Go()), Go(), handlers="nostack"),
        Case(Signal(C()), Go(), handlers=""),
        Case(Go(), Signal(C(), name="SIGSEGV"), handlers="early"),
    ],
)
def test_what_makes_sense_together_only_is_among_them(case: Case) -> None:
    legality.check(case)
    found = every.trees(case.size(), every.top(case.world())).kept
    assert case.trees in found
    assert every.may_be(case.trees, case.world())


def test_a_word_without_its_other_half_is_never_legal() -> None:
    worlds: list[dict[str, Any]] = [{}, {"on": ("trace",)}, {"handlers": "nostack"}, {"handlers": "early"}]
    for world in worlds:
        for size in (1, 2):
            trees = every.trees(size, every.top(world), whole=True).kept
            cases = [Case(*one, **world) for one in trees if not every.may_be(one, world)]
            # What stands in a coroutine that nobody resumes is never looked at.
            alone = [case for case in cases if "Pull" not in kinds(case)]
            assert alone or size == 1
            assert legal(alone) == []


def few_values(case: Case) -> bool:
    """Whether each number of the case is one of those that are taken."""
    for placed in case.walk():
        for (kind, name), taken in every.VALUES.items():
            if type(placed.node).__name__ == kind and getattr(placed.node, name) not in taken:
                return False
        if isinstance(placed.node, Stack | Resume) and abs(placed.node.region) > 1:
            return False
        # Other names do what these do, and other faults what a nil pointer does.
        if getattr(placed.node, "name", "") in every.ALIKE:
            return False
        if isinstance(placed.node, TurnOn | TurnOff | Pull | Next) and placed.node.properties():
            return False
    return True


def test_whatever_is_drawn_of_that_size_is_among_them() -> None:
    whole = set(made(3, whole=True))
    small = {
        Case(*case.trees)
        # Guided drawing prefers those that show more.
        for case in fuzz.generate(4_000, "small", guided=False)
        if case.size() <= 3 and few_values(case) and not case.world().keys() & {"on", "blocked", "handlers"}
    }
    assert len(small) > 100
    assert small - whole == set()


def test_what_is_left_out_is_counted_and_has_its_own_case_among_the_others() -> None:
    kept, whole = set(made(2)), made(2, whole=True)
    assert len(set(whole)) == len(whole)
    for size in (1, 2, 3):
        found = every.trees(size, TOP)
        assert found.total == len(every.trees(size, TOP, whole=True).kept)
        assert found.left_out.keys() <= set(every.REASONS)
    for case in whole:
        instead = every.representative(case)
        assert (instead == case) == (case in kept)
        assert instead is None or instead in kept or instead.size() > 2, case


@pytest.mark.parametrize(
    ("case", "instead"),
    [
        (Case(C()), None),
        (Case(C(Go()), Thread()), Case(Go())),
        (Case(Go(C(Go()))), Case(Go(Go()))),
        (Case(Go(C(Go(), Go()))), Case(Go(C(Go(), Go())))),
        (Case(Go(Thread(C(stack=40_000)))), Case(Go(C()))),
        (Case(Go(Go(), recover=True)), Case(Go(Go()))),
        (Case(Go(Go(Panic(), C()), recover=True)), Case(Go(Go(Panic()), recover=True))),
        (Case(Go(Go(), deferred=(C(),))), Case(Go(Go(), C()))),
        (Case(Export(name="GoEmpty")), Case(Go())),
        (Case(Go(Pull(C(Go())))), Case(Go(Pull()))),
        (Case(Go(Pull(C(Go())), Next())), Case(Go(Pull(Go()), Next()))),
        (Case(Go(Pull(C()), Next())), Case(Go(Pull(C()), Next()))),
        (Case(Signal(C()), Go()), Case(Signal(C()), Go())),
        (Case(Signal(C(Go()), C()), Go()), Case(Signal(Go(), C()), Go())),
        (
            Case(Together(Thread(Go(), kind="python"), Thread(Go()))),
            Case(Together(Thread(Go()), Thread(Go(), kind="python"))),
        ),
        # The numbers of the stacks are not the same in another order.
        (
            Case(Together(Thread(Stack(Go(), region=-1)), Thread(Go()))),
            Case(Together(Thread(Stack(Go(), region=-1)), Thread(Go()))),
        ),
    ],
)
def test_the_case_that_is_run_in_place_of_another(case: Case, instead: Case | None) -> None:
    assert every.representative(case) == instead


def test_single_switches_of_the_world_are_legal_and_there() -> None:
    worlds = every.worlds()
    for world in worlds:
        legality.check(Case(Go(), **world))
    assert {world["on"][0] for world in worlds if len(world) == 1 and "on" in world} == set(calltree.SWITCHES)
    assert {world["signals"] for world in worlds if "signals" in world} == set(calltree.SIGNALS)
    assert {world["handlers"] for world in worlds if "handlers" in world} == {*calltree.HANDLERS} - {""}
    assert len(worlds) == len({repr(world) for world in worlds})


def test_blocks_are_all_that_is_legal_and_no_case_twice() -> None:
    plan, blocks = exhaustive.plan(2), exhaustive.blocks(2)
    cases = [case for number in range(blocks) for case in plan.block(number, blocks)]
    assert len(set(cases)) == len(cases)
    # Too little stack for what is in it, an alternate one round the main thread's first callback, or a word
    # whose other half stands behind it.
    assert 0 < len(plan.trees) - len(cases) < len(cases) / 4
    assert {case.bounds for case in cases} == {"real", "hidden", "absent"}
    # A switch counts as a node.
    assert max(case.size() for case in cases if case.world().keys() - {"bounds"}) == 1


# What the filters claim, and that it is seen where one claims too much.


def judge(subject: Subject, go_on_path: Toolchain) -> filters.Judge:
    return filters.Judge({"real": subject, "absent": subject}, go_on_path.version)


@pytest.fixture
def hidden_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "BOUNDS", ("hidden",))


def test_what_is_left_out_shows_nothing_else(
    subject: Subject, go_on_path: Toolchain, hidden_alone: None
) -> None:
    run, left_out = judge(subject, go_on_path).both_ways(2)
    assert left_out.keys() <= run.keys()
    assert run["golib-1"]
    assert list(judge(subject, go_on_path).beside(filters.sample(2, 20))) == []


@pytest.fixture
def claims_too_much(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A filter that takes a panic that is recovered for nothing."""
    right: Callable[..., tuple[str, tuple[Node, ...]] | None] = every.rewrite

    def wrong(node: Node, frame: str) -> tuple[str, tuple[Node, ...]] | None:
        if any(isinstance(child, Panic) for child in node.children()) or getattr(node, "p", 0):
            return every.EMPTY, (Go(),)
        return right(node, frame)

    forgotten = [one for one in vars(every).values() if hasattr(one, "cache_clear")]
    for one in forgotten:
        one.cache_clear()
    monkeypatch.setattr(every, "rewrite", wrong)
    yield
    for one in forgotten:
        one.cache_clear()


def test_a_filter_that_claims_too_much_is_seen(
    subject: Subject, go_on_path: Toolchain, hidden_alone: None, claims_too_much: None
) -> None:
    run, left_out = judge(subject, go_on_path).both_ways(2)
    assert left_out.keys() - run.keys() == {"golib-1"}
    panics = Case(Go(Export(name="GoF", p=1), recover=True), bounds="hidden")
    [line] = judge(subject, go_on_path).beside([panics])
    assert line == f"{panics!r}: golib-1; Case(Go(Go()), bounds='hidden'): passed"


# What is kept of an interrupted run.


def test_a_block_that_has_run_is_known_by_all_that_decides_its_result(tmp_path: Path) -> None:
    kept, library = Kept(tmp_path / "kept"), tmp_path / "library.so"
    library.write_bytes(b"one")
    own = exhaustive.fingerprint(library, [Case(Go())], True, 20)
    kept.write(3, own, fuzz.Search(ran=1, known={"golib-1": 1}))
    assert kept.read(3, own) == {"print": own, "ran": 1, "known": {"golib-1": 1}}
    assert kept.read(2, own) is None
    others = [
        exhaustive.fingerprint(library, [Case(C(Go()))], True, 20),
        exhaustive.fingerprint(library, [Case(Go())], False, 20),
        exhaustive.fingerprint(library, [Case(Go())], True, 1),
    ]
    (tmp_path / "another.so").write_bytes(b"another")
    others.append(exhaustive.fingerprint(tmp_path / "another.so", [Case(Go())], True, 20))
    assert [kept.read(3, other) for other in others] == [None] * len(others)
    next(kept.folder.iterdir()).write_text("half a")
    assert kept.read(3, own) is None
    kept.forget()
    assert list(kept.folder.iterdir()) == []


def test_the_sentence_says_no_more_than_what_has_run() -> None:
    part = {"ran": 1000, "known": {"golib-1": 2}, "left_out": {every.DEAD: 5, every.TWIN: 0}, "refused": {}}
    parts = dict.fromkeys(range(16), part)
    assert exhaustive.sentence(3, "go1.27.4", parts, 0) == [
        "every legal case of up to 3 nodes (16,000 cases) ran on go1.27.4: golib-1 and nothing else",
        "left out, where a simpler one says the same: 5 what never runs",
    ]
    assert exhaustive.sentence(3, "go1.27.4", parts, 2)[0].endswith(": golib-1 and what failed above")
    passed = {number: {**part, "known": {}} for number in parts}
    assert exhaustive.sentence(3, "go1.27.4", passed, 0)[0].endswith(": no fault")
    parts |= {number: {**part, "refused": {"that need Go 1.23": 4}} for number in (2, 5)}
    assert exhaustive.sentence(3, "go1.21.13", parts, 0)[2:] == [
        "not run, as go1.21.13 cannot: 8 that need Go 1.23"
    ]
    del parts[7]
    [line] = exhaustive.sentence(3, "go1.27.4", parts, 0)
    assert line == (
        "15 of 16 parts of every legal case of up to 3 nodes (15,000 cases) ran on go1.27.4; the others"
        " are still to be run"
    )
    assert exhaustive.progress(3, "go1.27.4", {0: {**part, "of": 16_000}}, 10.0, 1) == (
        "go1.27.4: 1,000 of at most 16,000 cases of up to 3 nodes, about 2 min left"
    )


def suite(folder: Path, *tests: str) -> tuple[str, list[dict]]:
    """What golib's own blocks say, and what they came to."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", *(f"{SUITE}{test}" for test in tests or [""])),
            *("-p", "no:cacheprovider", f"--golib-failures={folder / 'kept'}"),
            *(f"--golib-json={folder / 'results.json'}", "--golib-exhaustive=1"),
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=ROOT,
        env=os.environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((folder / "results.json").read_text())["results"]
    return done.stdout, [row["exhaustive"] for row in rows]


def test_a_run_that_was_interrupted_goes_on_where_it_was(tmp_path: Path, go_on_path: Toolchain) -> None:
    blocks = (f"::test_no_small_case_breaks_it[{go_on_path.name}-block={number}]" for number in (0, 9))
    text, parts = suite(tmp_path, *blocks)
    assert [part["anew"] for part in parts] == [True, True]
    assert "2 of 16 parts of every legal case of up to 1 nodes" in text
    text, parts = suite(tmp_path)
    assert sorted(part["anew"] for part in parts) == [False, False, *[True] * 14]
    assert f"every legal case of up to 1 nodes (12 cases) ran on {go_on_path.name}: " in text
    # All have run, so that the next run is a new one.
    assert not list((tmp_path / "kept").glob("exhaustive-*/*"))


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("five", "--golib-exhaustive five: it is a number from 0 to 999,999,999"),
        (
            "5",
            "--golib-exhaustive 5: it is a number from 0 to 4; of five nodes there are some 25 million cases",
        ),
    ],
)
def test_a_number_of_nodes_that_makes_no_sense_is_refused(value: str, complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--co", f"--golib-exhaustive={value}", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=ROOT / "tests" / "embedding",
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert complaint in done.stderr
