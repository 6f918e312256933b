"""Verdicts on real runtimes with a fault put in, or a fault mended, by an overlay of a few lines: each says
the right thing, and a known issue hides none of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from broken import BRIDGE, overlay_of

import golib
from golib import Case, fuzz, parse
from golib.door import Subject, flavour
from golib.judge import known
from golib.judge.known import KnownIssue, Verdict, verdict
from golib.judge.outcome import Kind, Outcome
from golib.toolchains.build import build
from golib.toolchains.toolchain import Toolchain

Edits = dict[str, list[tuple[str, str]]]
"""What is replaced in which file, named below $GOROOT/src/runtime or in the bridge."""

RESTORED_IN_UNWINDM: Edits = {
    "cgocall.go": [
        ("\tcgocallbackg1(fn, frame, ctxt)\n", "\tcgocallbackg1(fn, frame, ctxt, oldStack, oldAccurate)\n"),
        (
            "func cgocallbackg1(fn, frame unsafe.Pointer, ctxt uintptr) {",
            "func cgocallbackg1(fn, frame unsafe.Pointer, ctxt uintptr, oldStack stack, oldAccurate bool) {",
        ),
        ("\tdefer unwindm(&restore)\n", "\tdefer unwindm(&restore, oldStack, oldAccurate)\n"),
        (
            "func unwindm(restore *bool) {\n\tif *restore {\n",
            "func unwindm(restore *bool, oldStack stack, oldAccurate bool) {\n\tif *restore {\n"
            "\t\tg0 := getg().m.g0\n\t\tg0.stack = oldStack\n\t\tg0.stackguard0 = oldStack.lo + stackGuard\n"
            "\t\tg0.stackguard1 = g0.stackguard0\n\t\tgetg().m.g0StackAccurate = oldAccurate\n",
        ),
    ]
}
"""The mend of golib-1: a panic that leaves a callback gives the outer bounds back, as a return does."""

STOPS_WITHOUT_RETAKING: Edits = {
    "proc.go": [
        (
            "\tfor _, pp := range allp {\n\t\tif thread, ok := setBlockOnExitSyscall(pp); ok {\n"
            "\t\t\tthread.gcstopP()\n\t\t\tthread.resume()\n\t\t}\n\t}\n\n\t// Stop idle Ps.\n",
            "\t// Stop idle Ps.\n",
        )
    ]
}
"""Whoever stops the world waits for P's whose threads are in C."""

ESTIMATE_16K: Edits = {"cgocall.go": [("g0.stack.lo = sp - 32*1024", "g0.stack.lo = sp - 16*1024")]}

LEAKS_A_COUNT: Edits = {
    "cgocall.go": [
        ("\tgp.m.winsyscall = winsyscall\n", "\tgp.m.winsyscall = winsyscall\n\tsched.nGsyscallNoP.Add(1)\n")
    ]
}
"""One goroutine more in a system call after every callback, on every thread."""

MOVED_IN_UNWINDM: Edits = {
    "cgocall.go": [("\t\tsched := &mp.g0.sched\n", "\t\tsched := &mp.g0.sched\n\t\tmp.g0.stack.lo += 8\n")]
}

NO_GOEXIT: Edits = {"leaves.go": [("\truntime.Goexit()\n", "")]}

Changed = Callable[[Edits, Case], Subject]


@pytest.fixture
def changed(go_on_path: Toolchain, testrun_uid: str, tmp_path: Path) -> Changed:
    """The bridge of the Go on PATH with edits, in the flavour that a case needs."""

    def make(edits: Edits, case: Case) -> Subject:
        replaced = {}
        for name, pairs in edits.items():
            bridge = (BRIDGE / name).exists()
            source = BRIDGE / name if bridge else go_on_path.goroot / "src/runtime" / name
            text = source.read_text()
            for old, new in pairs:
                assert text.count(old) == 1, f"{source} has changed: {old!r} is not there once"
                text = text.replace(old, new)
            (tmp_path / name).write_text(text)
            key = str(source.resolve()) if bridge else f"$GOROOT/src/runtime/{name}"
            replaced[key] = name
        overlay = overlay_of(tmp_path, replaced)
        return golib.open(build(go_on_path, overlay=overlay, session=testrun_uid, flavour=flavour(case)))

    return make


def entry(name: str) -> KnownIssue:
    return next(issue for issue in known.shipped() if issue.id == name)


def judged(subject: Subject, outcome: Outcome) -> Verdict:
    return verdict(outcome, subject.library.toolchain.version, known.shipped())


DEFERRED_ON_THE_WAY = (
    "Case(Go(C(Go(C(Go(Panic()), stack=4000), deferred=(GC(), C(Go()))), stack=4000), recover=True),"
    " bounds='{bounds}')"
)
"""In the deferred functions of a Go frame that a panic passes, the bounds are that frame's own."""


@pytest.mark.parametrize("bounds", ["hidden", "absent"])
def test_a_mended_runtime_passes_what_golib_1_is_known_by(changed: Changed, bounds: str) -> None:
    case = parse(DEFERRED_ON_THE_WAY.format(bounds=bounds))
    assert changed(RESTORED_IN_UNWINDM, case).run(case).kind is Kind.PASSED
    proof = entry("golib-1").proof.having(bounds=bounds)
    assert changed(RESTORED_IN_UNWINDM, proof).run(proof).kind is Kind.PASSED


def test_todays_runtime_is_known_by_it(subject: Subject) -> None:
    case = parse(DEFERRED_ON_THE_WAY.format(bounds="hidden"))
    outcome = subject.run(case)
    assert judged(subject, outcome).issues == ("golib-1",)
    # At the deferred function already, before the frame that recovers.
    assert {found.node for found in outcome.divergences if found.key == "recovered lo"} >= {0, 6}


def test_a_world_that_never_stops_is_no_rare_issue(changed: Changed) -> None:
    """golib-8's hang at nearly every run: its rate does not explain it; without its cause it is not known."""
    case = entry("golib-8").proof
    subject = changed(STOPS_WITHOUT_RETAKING, case)
    version = subject.library.toolchain.version
    outcome = subject.run(case, 2.0)
    assert judged(subject, outcome).issues == ("golib-8",)
    often = fuzz.too_often(("golib-8",), lambda: subject.run(case, 2.0), version, known.shipped())
    assert "; the list says at a rate of 0.04" in str(often)
    alone = parse("Case(C(Go(GC(), C(Go(GC()))), times=20), Thread(C(Go(GC()), times=20)))")
    assert not entry("golib-8").caused_by(alone)
    # It depends on where the other threads happen to be.
    runs = (subject.run(alone, 2.0) for _ in range(20))
    outcome = next(outcome for outcome in runs if outcome.kind is Kind.HANG)
    assert "runtime.stopTheWorldWithSema" in str(outcome.signature)
    assert judged(subject, outcome).status == "failed"


def test_a_death_that_is_known_hides_no_divergence_before_it(changed: Changed) -> None:
    case = entry("golib-3").proof
    outcome = changed(ESTIMATE_16K, case).run(case)
    assert entry("golib-3").explains_end(outcome)
    seen = verdict(outcome, "1.26.8", known.shipped())
    assert seen.status == "failed"
    assert "estimate lo" in str(outcome.signature)
    assert outcome.divergences[seen.decisive].key == "estimate lo"


@pytest.mark.parametrize(
    ("edits", "issue", "control"),
    [
        (LEAKS_A_COUNT, "golib-7", "Case(Go(), C(Go(), times=200))"),
        (MOVED_IN_UNWINDM, "golib-1", "Case(Go(C(Go(Panic())), recover=True))"),
    ],
    ids=["golib-7", "golib-1"],
)
def test_a_control_that_shows_its_issue_fails(
    changed: Changed, edits: Edits, issue: str, control: str
) -> None:
    case = parse(control)
    assert case in entry(issue).controls
    subject = changed(edits, case)
    outcome = subject.run(case)
    assert entry(issue).touched_by(outcome)
    assert judged(subject, outcome).status == "failed"


def test_a_goexit_that_does_nothing_is_seen(changed: Changed) -> None:
    case = parse("Case(Go(Thread(C(Go(Goexit())), kind='go')))")
    outcome = changed(NO_GOEXIT, case).run(case)
    assert [found.key for found in outcome.divergences][:1] == ["order event"]
    assert (outcome.divergences[0].expected, outcome.divergences[0].side) == ("none", "Go")
