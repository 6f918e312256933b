"""Each kind of outcome is reached by a child that really ends so, through the ordinary door.

The ways to die are those of the bridge's broken twin (broken.py).
"""

from __future__ import annotations

import os
import re
import resource
import signal
from pathlib import Path

import pytest
from broken import FLOOD_LINE, FLOOD_LINES, Break, breaking, edited, overlay_of, write_overlay

import golib
from golib import GC, C, Case, Go, Grow, NoCallback, Panic, SchedYield, Stack, Thread, Yield
from golib.case.script import Phase
from golib.door import Subject, fields_of
from golib.judge import known
from golib.judge.outcome import (
    FRAMES,
    KILLED,
    RACE,
    Kind,
    Outcome,
    judge,
    judge_row,
    normalise,
    wait_status,
)
from golib.run.child import Request
from golib.run.forkserver import HEAD, SAMPLES, TAIL, ForkServer
from golib.run.trace import CAPACITY, HARNESS_STATUS, OUT_OF_TIME, Ended, Record
from golib.toolchains import sanitizers
from golib.toolchains.build import BRIDGE, FLAGS, build
from golib.toolchains.sanitizers import NOT_JUDGED, RACE_STATUS
from golib.toolchains.toolchain import Toolchain, resolve

SHORT = 0.3
"""Seconds until a case that will never end is a hang."""
PLENTY = 60.0
"""Seconds for a case that ends: only a broken golib needs them."""
NESTED = Case(Go(C(Go(), C(Go(), stack=40_000), Go())), bounds="hidden")
"""go#68285's proof: an inner callback below all that an estimate for the outer one claims."""


def broken_off(subject: Subject, action: Break, *, in_go: bool = False, timeout: float = PLENTY) -> Outcome:
    """What a case comes to in which the twin does that: on the plain thread, or below a Go frame."""
    frame = breaking(action)
    return subject.run(Case(Go(frame) if in_go else frame), timeout)


def passes(subject: Subject) -> bool:
    """Whether the next case is none the worse."""
    return subject.run(Case(Go(C(Go()))), PLENTY).kind is Kind.PASSED


# Every kind, by a real end.


def test_a_case_that_comes_to_its_end_passed(subject: Subject) -> None:
    outcome = subject.run(Case(Go(C(Go()))))
    assert (outcome.kind, outcome.status, outcome.divergences) == (Kind.PASSED, 0, ())
    assert outcome.stderr == ""


def test_the_twin_is_honest_until_it_is_told_otherwise(broken: Subject) -> None:
    # Else the tests below would show what the overlay does, not what golib makes of it.
    outcome = broken.run(Case(Go(C(Go(), stack=40_000))))
    assert (outcome.kind, outcome.divergences) == (Kind.PASSED, ())


@pytest.mark.parametrize("in_go", [False, True], ids=["in-C", "below-Go"])
@pytest.mark.parametrize(
    ("action", "kind", "headline", "ended"),
    [
        (Break.EXIT_0, Kind.LOST, "exit status 0 before the case had come to its end", "exit status 0"),
        (Break.EXIT_2, Kind.FATAL, "exit status 2 without a word", "exit status 2"),
        (Break.EXIT_3, Kind.HARNESS, "the child gave up without saying why", "exit status 3"),
        (Break.KILLED, Kind.HARNESS, KILLED, "SIGKILL"),
        (Break.ABORT, Kind.SIGNAL, "died by SIGABRT", "SIGABRT"),
        (Break.PANIC, Kind.FATAL, "panic: panic", "SIGABRT"),
        (Break.THROW, Kind.FATAL, "fatal error: sync: unlock of unlocked mutex", "SIGABRT"),
    ],
    ids=lambda value: value.name if isinstance(value, Break) else "",
)
def test_a_death_is_told_by_what_it_said_and_how_it_ended(
    broken: Subject, action: Break, kind: Kind, headline: str, ended: str, in_go: bool
) -> None:
    outcome = broken_off(broken, action, in_go=in_go)
    assert (outcome.kind, outcome.headline, outcome.ended) == (kind, headline, ended)
    assert (outcome.signature.kind, outcome.signature.headline) == (kind.value, normalise(headline))
    assert outcome.divergences == ()
    # The trace outlives the death: the frame that broke off had been entered.
    last = outcome.events[-1]
    assert (last.phase, last.in_go, last.node) == (Phase.ENTERED, False, int(in_go))
    assert passes(broken)


def test_a_segfault_in_c_that_go_has_no_part_in_is_a_signal(broken: Subject) -> None:
    outcome = broken_off(broken, Break.SEGFAULT)
    assert (outcome.kind, outcome.headline, outcome.stderr) == (Kind.SIGNAL, "died by SIGSEGV", "")


def test_a_segfault_in_c_below_a_go_frame_is_told_in_gos_words(broken: Subject) -> None:
    # Go reports it, then raises SIGQUIT for its other threads, and dies of that or of what it raises last.
    outcome = broken_off(broken, Break.SEGFAULT, in_go=True)
    assert (outcome.kind, outcome.headline) == (Kind.FATAL, "SIGSEGV: segmentation violation")
    assert outcome.ended in ("SIGQUIT", "SIGABRT")
    assert outcome.signature.frames[0] == "runtime.cgocall"


@pytest.mark.parametrize("in_go", [False, True], ids=["in-C", "below-Go"])
def test_a_case_that_does_not_end_is_a_hang(broken: Subject, in_go: bool) -> None:
    outcome = broken_off(broken, Break.HANG, in_go=in_go, timeout=SHORT)
    assert (outcome.kind, outcome.headline) == (Kind.HANG, "it did not come to its end in time")
    assert os.WIFSIGNALED(outcome.status)
    assert passes(broken)


def test_a_hang_shows_where_each_thread_stood(broken: Subject) -> None:
    outcome = broken_off(broken, Break.HANG_IN_GO, in_go=True, timeout=1.0)
    sampled = outcome.stderr.partition(OUT_OF_TIME)[2].split("golib: sample ")[1:]
    assert [sample.partition("\n")[0] for sample in sampled] == [
        f"{n} of {SAMPLES}" for n in range(1, SAMPLES + 1)
    ]
    for sample in sampled:
        main, *others = re.findall(r"^golib: thread (\d+), by its frame pointers:$", sample, re.MULTILINE)
        assert int(main) == outcome.events[0].tid
        assert others, "Go has threads of its own"
        # Its goroutine is parked, so the thread waits for another.
        assert "\nruntime.stoplockedm(...)\n" in sample.partition("\n\n")[0] + "\n"


def test_a_hang_that_stands_still_shows_the_same_in_each_sample(broken: Subject) -> None:
    outcome = broken_off(broken, Break.HANG_IN_GO, in_go=True, timeout=1.0)
    assert len(outcome.samples) == SAMPLES
    # It never moves, so all of them show the same.
    assert set(outcome.samples) == {outcome.signature.frames}


@pytest.mark.parametrize("action", [Break.HANG, Break.HANG_IN_GO], ids=lambda action: action.name)
def test_a_hang_shows_its_goroutines(broken: Subject, action: Break) -> None:
    outcome = broken_off(broken, action, in_go=True, timeout=1.0)
    assert outcome.kind is Kind.HANG
    assert "golibGo(" in outcome.stderr
    assert "runtime.cgocallback(" in outcome.stderr


def test_a_hang_in_c_is_not_signed_with_an_idle_threads_frames(broken: Subject) -> None:
    # They differ from run to run, and two hangs would not be the same fault.
    outcome = broken_off(broken, Break.HANG, timeout=SHORT)
    assert outcome.signature.frames == ()


HUNG_IN_HANDLERS = """\
golib: sample 1 of 1
golib: thread 7, by its frame pointers:
runtime.usleep.abi0(...)
runtime.lockextra(...)
runtime.getExtraM(...)
runtime.needm(...)
runtime.badsignal(...)
runtime.sigtrampgo(...)

golib: thread 9, by its frame pointers:
runtime.futex.abi0(...)
runtime.lock2(...)
runtime.dropm(...)
runtime.badsignal(...)
runtime.sigtrampgo(...)
runtime.sigtramp.abi0(...)
runtime.traceThreadDestroy(...)
runtime.dropm(...)

"""


def test_of_two_that_hang_in_a_handler_the_one_that_others_wait_for_says_most() -> None:
    outcome = judge(TREE, end(9, f"{OUT_OF_TIME}{HUNG_IN_HANDLERS}", timed_out=True))
    assert outcome.signature.frames == ("runtime.dropm", "runtime.badsignal", "runtime.sigtrampgo")


def test_a_child_that_hears_no_signal_is_killed(broken: Subject) -> None:
    outcome = broken_off(broken, Break.DEAF_HANG, timeout=SHORT)
    assert (outcome.kind, outcome.ended) == (Kind.HANG, "SIGKILL")


def test_what_a_thread_of_a_callback_changed_is_a_divergence(broken: Subject) -> None:
    # C leaves a signal blocked, Go comes back with it: the mask after is not the one before.
    outcome = broken_off(broken, Break.MASK, in_go=True)
    assert outcome.kind is Kind.DIVERGENCE
    assert [str(signature) for signature in outcome.signatures] == ["divergence: thread sigmask"]
    [found] = outcome.divergences
    assert (found.node, found.phase, found.side) == (0, Phase.AFTER, "C")
    assert found.seen == found.expected | 1 << signal.SIGUSR2 - 1
    assert outcome.headline == str(found)


def test_each_outcome_of_a_row_keeps_all_that_its_child_had_run(broken: Subject) -> None:
    cases = [Case(Go()), Case(breaking(Break.ABORT)), Case(C(Go())), Case(Go(), C())]
    outcomes = broken.run_in_a_row(cases, PLENTY)
    assert [outcome.kind for outcome in outcomes] == [Kind.PASSED, Kind.SIGNAL, Kind.PASSED, Kind.PASSED]
    assert [outcome.ran for outcome in outcomes] == [
        Case(Go()),
        Case(Go(), breaking(Break.ABORT)),
        # Where one has died, the next gets a new child.
        Case(C(Go())),
        Case(C(Go()), Go(), C()),
    ]


def test_a_case_alone_is_all_that_its_child_ran(subject: Subject) -> None:
    case = Case(Go(), C(Go()), bounds="hidden")
    assert subject.run(case).ran == case


# Our own faults, never blamed on Go.

TOO_BIG = 1 << 46
"""Bytes: more than a process can address beside what it has."""
MORE_THREADS = (
    "see how many processes and threads there may be (ulimit -u, the pids limit of a container) and how much"
    " memory (ulimit -v)"
)
MORE_MEMORY = (
    "see how much memory there is and may be used (free, ulimit -v, the memory limit of a container)"
)


@pytest.mark.parametrize("in_go", [False, True], ids=["from-C", "from-Go"])
@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("native", f"a native thread could not be started: Resource temporarily unavailable; {MORE_THREADS}"),
        ("python", f"in a Python callback: RuntimeError: can't start new thread; {MORE_THREADS}"),
        (
            "memory",
            f"BindingError: no memory for a thread's stack of {TOO_BIG} bytes: Cannot allocate memory;"
            f" {MORE_MEMORY}",
        ),
    ],
)
def test_a_thread_that_cannot_be_had_is_our_fault(
    subject: Subject, kind: str, fault: str, in_go: bool
) -> None:
    thread = Thread(Go(), kind=kind, stack=TOO_BIG)
    outcome = subject.run(Case(Go(thread) if in_go else thread), PLENTY)
    assert (outcome.kind, outcome.headline) == (Kind.HARNESS, fault)
    if kind == "python":  # swallowed by ctypes, and still on record
        assert outcome.status == 0
        assert "in start" in outcome.stderr


MIB = 1 << 20


@pytest.mark.parametrize(
    ("first", "last", "step"),
    [
        (100, 100, 1),  # the library itself
        (400, 400, 1),  # Go's first reservation
        (850, 1300, 50),  # its heap, its threads, those of the case
    ],
)
def test_too_little_memory_is_our_fault_wherever_it_shows(
    subject: Subject, first: int, last: int, step: int
) -> None:
    case = Case(Go(GC(), Grow(stack=64 * MIB)), Thread(Go(GC())), Thread(Go(GC()), kind="python"))
    request = Request(str(subject.library.path), fields_of(subject.library), (case,), PLENTY)
    server = ForkServer(subject.world(case))
    try:
        for size in range(first, last + 1, step):
            resource.prlimit(server.pid, resource.RLIMIT_AS, (size * MIB, resource.RLIM_INFINITY))
            outcome = subject.judge(case, server.run(request))
            assert outcome.kind is Kind.HARNESS
            assert outcome.headline.endswith((MORE_MEMORY, MORE_THREADS))
    finally:
        server.close()


def test_in_a_row_only_the_case_is_blamed_that_could_not_be_had(subject: Subject) -> None:
    cases = [Case(Go()), Case(Thread(Go(), kind="memory", stack=TOO_BIG)), Case(C(Go()))]
    outcomes = subject.run_in_a_row(cases, PLENTY)
    assert [outcome.kind for outcome in outcomes] == [Kind.PASSED, Kind.HARNESS, Kind.PASSED]


def test_what_python_swallowed_is_told_also_where_the_whole_row_came_to_its_end(subject: Subject) -> None:
    cases = [Case(Go()), Case(Thread(Go(), kind="python", stack=TOO_BIG))]
    first, last = subject.run_in_a_row(cases, PLENTY)
    assert first.kind is Kind.PASSED
    assert (last.kind, last.headline) == (
        *(Kind.HARNESS, f"in a Python callback: RuntimeError: can't start new thread; {MORE_THREADS}"),
    )
    assert last.status == 0
    assert "in start" in last.stderr


def test_a_trace_that_is_full_is_our_fault(broken: Subject) -> None:
    outcome = broken_off(broken, Break.FILL_TRACE)
    assert outcome.kind is Kind.HARNESS
    assert outcome.headline.startswith("the trace is full")
    assert len(outcome.events) == CAPACITY
    assert passes(broken), "what filled it must not be read again"


def test_a_library_that_is_no_bridge_is_our_fault(subject: Subject, tmp_path: Path) -> None:
    from dataclasses import replace

    other = tmp_path / "libother.so"
    other.write_bytes(b"no library")
    outcome = Subject(replace(subject.library, path=other)).run(Case(Go()))
    assert outcome.kind is Kind.HARNESS
    assert outcome.headline == f"OSError: {other}: file too short"


# What a child writes.


def test_a_flood_is_drained_and_kept_up_to_a_bound(broken: Subject) -> None:
    outcome = broken_off(broken, Break.FLOOD)
    assert outcome.kind is Kind.PASSED
    said = re.search(r"\n\[golib: (\d+) bytes left out\]\n", outcome.stderr)
    assert said
    head, tail = outcome.stderr[: said.start()], outcome.stderr[said.end() :]
    assert (len(head), len(tail)) == (HEAD, TAIL)
    assert head.startswith("the first line\n00000000 is a line")
    assert tail.endswith(f"{FLOOD_LINES - 1:08} is a line of the flood\nthe last line\n")
    written = len("the first line\n" + "the last line\n" + FLOOD_LINE * FLOOD_LINES)
    assert int(said[1]) == written - HEAD - TAIL


def test_a_hang_in_the_middle_of_a_flood_keeps_both_ends(broken: Subject) -> None:
    outcome = broken_off(broken, Break.FLOOD_AND_HANG, in_go=True, timeout=2.0)
    assert outcome.kind is Kind.HANG
    # The stacks of its threads stand before what it wrote.
    _, first, said = outcome.stderr.partition("the first line\n")
    assert first
    assert "the last line\n" in said, "and what Go says of its end behind it"
    stacks = said.partition(OUT_OF_TIME)[2].partition("SIGSEGV: ")[0]
    assert len(said) < HEAD + TAIL + 100 + len(stacks)


# The releases' own deaths.

OLD_THROW = """
	if inside := sp > g0.stack.lo && sp <= g0.stack.hi; mp.ncgo > 0 && !inside {
		lo, hi := g0.stack.lo, g0.stack.hi
		g0.stack.hi = sp + 1024
		g0.stack.lo = sp - 32*1024
		g0.stackguard0 = g0.stack.lo + stackGuard
		g0.stackguard1 = g0.stackguard0
		systemstack(func() {
			print("M ", mp.id, " procid ", mp.procid, " runtime: cgocallback with sp=", hex(sp),
				" out of bounds [", hex(lo), ", ", hex(hi), "]\\n")
			exit(2)
		})
	}
	if !mp.isextra {
"""
"""What callbackUpdateSystemStack did before the change (runtime/cgocall.go, Go 1.23), but on the system
stack: as it stood there, its own print needs more of the goroutine's stack where none may be had, and the
process dies of "stack split at bad time" before a word is out (test_a_release_dies_in_its_own_words)."""


@pytest.fixture(scope="module")
def with_old_throw(
    go_on_path: Toolchain, testrun_uid: str, tmp_path_factory: pytest.TempPathFactory
) -> Subject:
    folder = tmp_path_factory.mktemp("throw")
    source = go_on_path.goroot / "src/runtime/cgocall.go"
    name = edited(source, "\n\tif !mp.isextra {\n", OLD_THROW, folder)
    overlay = overlay_of(folder, {"$GOROOT/src/runtime/cgocall.go": name})
    return golib.open(build(go_on_path, overlay=overlay, session=testrun_uid))


def test_the_removed_throw_is_recognised_where_it_is_put_back(with_old_throw: Subject) -> None:
    outcome = with_old_throw.run(NESTED)
    assert (outcome.kind, outcome.ended) == (Kind.FATAL, "exit status 2")
    assert re.fullmatch(
        r"M \d+ procid \d+ runtime: cgocallback with sp=0x\w+ out of bounds \[0x\w+, 0x\w+\]",
        outcome.headline,
    )
    assert outcome.signature.headline == ("M N procid N runtime: cgocallback with sp=N out of bounds [N, N]")
    # The bounds that it names are those of the outer callback.
    outer = next(event for event in outcome.events if event.phase is Phase.ENTERED and event.in_go)
    assert outcome.headline.endswith(f"[{outer.values['lo']:#x}, {outer.values['hi']:#x}]")
    assert with_old_throw.run(Case(Go(C(Go())), bounds="hidden")).kind is Kind.PASSED


def test_the_change_survives_what_the_old_throw_does_not(subject: Subject) -> None:
    assert subject.run(NESTED).kind is Kind.PASSED


@pytest.mark.parametrize(
    ("release", "case", "ended", "headline", "frames"),
    [
        (
            "1.23.4",
            NESTED,
            "SIGABRT",
            "fatal error: runtime: stack split at bad time",
            ("runtime.callbackUpdateSystemStack", "runtime.cgocallbackg", "runtime.cgocallback"),
        ),
        (
            "1.22.4",
            Case(Go(), C(Go(GC()), stack=31 * 1024), bounds="hidden"),
            "SIGABRT",
            "fatal error: morestack on g0",
            # Called by the first function on g0 that checks: newproc's, or exitsyscall's if the P is gone.
            ("runtime.badmorestackg0.func1", "runtime.switchToCrashStack0"),
        ),
    ],
    ids=["go68285-on-1.23.4", "go62440-on-1.22.4"],
)
def test_a_release_dies_in_its_own_words(
    release: str, case: Case, ended: str, headline: str, frames: tuple[str, ...], testrun_uid: str
) -> None:
    [toolchain], _ = resolve([release])
    outcome = golib.open(build(toolchain, session=testrun_uid)).run(case)
    assert (outcome.kind, outcome.ended) == (Kind.FATAL, ended)
    assert outcome.signature.headline == headline
    assert outcome.signature.frames[-len(frames) :] == frames


# Builds with a sanitizer.

RACING = """\
	done := make(chan struct{})
	go func() { write(shared); close(done) }()
	write(shared)
	<-done
	runtime.Gosched()
	return 0
}

var golibShared int

//go:noinline
func write(shared *int) { *shared++ }
"""
USED_AFTER_FREE = """	volatile char *freed = malloc(16);

	free((void *)freed);
	freed[3] = 1;
	golib_record(n, GOLIB_BEFORE);
	golib_record_did(n, GOLIB_AFTER, sched_yield() == 0);
"""


def with_leaf(folder: Path, source: str, old: str, new: str) -> Path:
    """An overlay by which that leaf of the bridge goes wrong."""
    name = edited(BRIDGE / source, old, new, folder)
    return overlay_of(folder, {str(BRIDGE.resolve() / source): name})


@pytest.mark.parametrize("flag", FLAGS)
def test_a_clean_case_passes_in_a_build_with_a_sanitizer(
    go_on_path: Toolchain, testrun_uid: str, flag: str
) -> None:
    subject = golib.open(build(go_on_path, flags=(flag,), session=testrun_uid))
    for case in (
        Case(Go(C(Go(Panic()), stack=40_000), recover=True), Go(Yield(), GC()), SchedYield()),
        # What the panic leaves behind on the thread's stack, the next frames lie in.
        Case(Thread(Go(C(Go(), C(Go(Panic()), stack=512), Go()), recover=True)), Thread(Go(), kind="python")),
        Case(Stack(Go(GC()), region=-1), Go(Stack(Go()), Yield()), on=("notify",), signals="SIGUSR1"),
    ):
        outcome = subject.run(case, PLENTY)
        # golib-1 after the panics, as in any build; and no word of the sanitizer's.
        assert outcome.kind in (Kind.PASSED, Kind.DIVERGENCE)
        assert {key for one in outcome.divergences for key in one.key.split()[:1]} <= {
            "recovered",
            "restored",
        }
        # Of stacks that are switched it has no red zones to be wrong about.
        said = [line for line in outcome.stderr.splitlines() if "fully support makecontext" not in line]
        assert said == []
    assert NOT_JUDGED[flag]


@pytest.mark.parametrize("shared", ["new(int)", "&golibShared"], ids=["heap", "package-variable"])
def test_a_planted_data_race_is_found(
    go_on_path: Toolchain, testrun_uid: str, tmp_path: Path, shared: str
) -> None:
    old = "func yield(*C.struct_node) uint64 {\n\truntime.Gosched()\n\treturn 0\n}\n"
    new = f"func yield(*C.struct_node) uint64 {{\n\tshared := {shared}\n{RACING}"
    overlay = with_leaf(tmp_path, "leaves.go", old, new)
    case = Case(Go(), C(Go(Yield(), GC())))
    racing = golib.open(build(go_on_path, overlay=overlay, flags=("-race",), session=testrun_uid))
    outcome = racing.run(case, PLENTY)
    assert (outcome.kind, outcome.headline) == (Kind.FATAL, RACE)
    assert outcome.ended == f"exit status {RACE_STATUS}"
    assert outcome.signature.frames == ("pytest-golib.invalid/bridge.write",)
    assert "pytest-golib.invalid/bridge" in outcome.stderr
    assert racing.run(case, PLENTY).signature == outcome.signature
    # It ends there, and the case before it is none the worse.
    first, last = racing.run_in_a_row([Case(Go()), case], PLENTY)
    assert (first.kind, last.signature) == (Kind.PASSED, outcome.signature)
    assert racing.run(Case(Go(GC())), PLENTY).kind is Kind.PASSED


def test_a_hang_in_a_library_that_lies_elsewhere_shows_the_same_functions(
    go_on_path: Toolchain, testrun_uid: str, tmp_path: Path
) -> None:
    # A -race library is linked to lie at an address of its own; offsets are from there.
    racing = golib.open(
        build(go_on_path, overlay=write_overlay(tmp_path), flags=("-race",), session=testrun_uid)
    )
    outcome = broken_off(racing, Break.HANG_IN_GO, in_go=True, timeout=1.0)
    assert outcome.kind is Kind.HANG
    assert "\nruntime.stoplockedm(...)\n" in outcome.stderr


def test_two_race_detectors_are_not_asked_of_one_process(go_on_path: Toolchain, testrun_uid: str) -> None:
    racing = golib.open(build(go_on_path, flags=("-race",), session=testrun_uid))
    with pytest.raises(sanitizers.NotJudgedError, match=r"^not judged with -race: a second Go library"):
        racing.run(Case(Go(), second="after"))


def test_what_the_race_detector_says_of_itself_is_a_headline(go_on_path: Toolchain, testrun_uid: str) -> None:
    """Seen of golib-15, which leaves the detector's own count of what it ignores behind."""
    racing = golib.open(build(go_on_path, flags=("-race",), session=testrun_uid))
    outcome = racing.run(Case(Go(NoCallback(), recover=True)), PLENTY)
    assert outcome.headline.startswith("ThreadSanitizer: CHECK failed: ")
    assert known.verdict(outcome, go_on_path.version, known.shipped()).issues == ("golib-15",)


def test_without_the_flag_the_planted_race_is_not_seen(
    go_on_path: Toolchain, testrun_uid: str, tmp_path: Path
) -> None:
    old = "func yield(*C.struct_node) uint64 {\n\truntime.Gosched()\n\treturn 0\n}\n"
    overlay = with_leaf(
        tmp_path,
        "leaves.go",
        old,
        f"func yield(*C.struct_node) uint64 {{\n\tshared := new(int)\n{RACING}",
    )
    plain = golib.open(build(go_on_path, overlay=overlay, session=testrun_uid))
    assert plain.run(Case(Go(Yield())), PLENTY).kind is Kind.PASSED


def test_a_planted_use_after_free_is_found(go_on_path: Toolchain, testrun_uid: str, tmp_path: Path) -> None:
    old = "\tgolib_record(n, GOLIB_BEFORE);\n\tgolib_record_did(n, GOLIB_AFTER, sched_yield() == 0);\n"
    overlay = with_leaf(tmp_path, "threads.c", old, USED_AFTER_FREE)
    subject = golib.open(build(go_on_path, overlay=overlay, flags=("-asan",), session=testrun_uid))
    outcome = subject.run(Case(Go(C(SchedYield()))), PLENTY)
    assert outcome.kind is Kind.FATAL
    assert re.match(r"AddressSanitizer: heap-use-after-free on address 0x\w+ at pc", outcome.headline)
    assert outcome.signature.frames[0] == "golib_leaf_schedyield"
    assert subject.run(Case(Go(GC())), PLENTY).kind is Kind.PASSED


# Evidence without a child: which of several signs decides.

TREE = Case(Go())
DIED = int(signal.SIGABRT)


def end(
    status: int, stderr: str = "", *, timed_out: bool = False, finished: int = 0, fault: str = ""
) -> Ended:
    return Ended(status, stderr, timed_out, Record((), finished, fault))


def block(size: int) -> str:
    """What the runtime says first when the memory runs out (runtime/malloc.go)."""
    return f"runtime: out of memory: cannot allocate {size}-byte block (4194304 in use)\n"


@pytest.mark.parametrize(
    ("ended", "kind", "headline"),
    [
        (end(DIED, "panic: x", fault="ours"), Kind.HARNESS, "ours"),
        (end(0, finished=1, fault="ours"), Kind.HARNESS, "ours"),
        # What it says before its time is up is its own, what it says afterwards is golib's doing.
        (end(DIED, f"panic: x\n{OUT_OF_TIME}", timed_out=True), Kind.FATAL, "panic: x"),
        (
            end(DIED, f"{OUT_OF_TIME}SIGSEGV: segmentation violation", timed_out=True),
            *(Kind.HANG, "it did not come to its end in time"),
        ),
        (end(HARNESS_STATUS << 8, "panic: x"), Kind.HARNESS, "the child gave up without saying why"),
        (end(DIED, "panic: x"), Kind.FATAL, "panic: x"),
        (end(DIED), Kind.SIGNAL, "died by SIGABRT"),
        # Who kills is not Go, but where golib did it after a hang; what Go has said before is Go's.
        (end(signal.SIGKILL), Kind.HARNESS, KILLED),
        (end(signal.SIGKILL, finished=1), Kind.HARNESS, KILLED),
        (end(signal.SIGKILL, "fatal error: x"), Kind.FATAL, "fatal error: x"),
        (end(signal.SIGKILL, timed_out=True), Kind.HANG, "it did not come to its end in time"),
        # What the machine could not give.
        (
            end(DIED, "runtime/cgo: pthread_create failed: Resource temporarily unavailable\n"),
            Kind.HARNESS,
            f"runtime/cgo: pthread_create failed: Resource temporarily unavailable; {MORE_THREADS}",
        ),
        (
            end(
                2 << 8,
                "runtime: failed to create new OS thread (have 2 already; errno=11)\nfatal error: newosproc",
            ),
            Kind.HARNESS,
            f"runtime: failed to create new OS thread (have 2 already; errno=11); {MORE_THREADS}",
        ),
        (
            end(DIED, f"{block(4 << 20)}fatal error: out of memory\n"),
            Kind.HARNESS,
            f"fatal error: out of memory; {MORE_MEMORY}",
        ),
        # Nobody has asked for so much.
        (
            end(DIED, f"{block(1 << 46)}fatal error: out of memory\n"),
            *(Kind.FATAL, "fatal error: out of memory"),
        ),
        (
            end(1 << 8, "==7==ERROR: ThreadSanitizer failed to allocate 0x1f00 (7936) bytes (errno: 12)\n"),
            Kind.HARNESS,
            "==7==ERROR: ThreadSanitizer failed to allocate 0x1f00 (7936) bytes (errno: 12); " + MORE_MEMORY,
        ),
        # The words of a panic may be any.
        (end(DIED, "panic: out of memory, he said"), Kind.FATAL, "panic: out of memory, he said"),
        # A sanitizer's report, and not what Go says of a death that follows.
        (end(RACE_STATUS << 8, f"{RACE}\nRead at\n"), Kind.FATAL, RACE),
        (
            end(DIED, "==1==ERROR: AddressSanitizer: SEGV on x\nSIGABRT: abort\n"),
            *(Kind.FATAL, "AddressSanitizer: SEGV on x"),
        ),
        (end(0, "panic: x"), Kind.FATAL, "panic: x"),
        (end(0), Kind.LOST, "exit status 0 before the case had come to its end"),
        (end(0, "panic: x", finished=1), Kind.PASSED, "passed"),
        (end(1 << 8), Kind.FATAL, "exit status 1 without a word"),
        # It finished, and died on its way out.
        (end(DIED, finished=1), Kind.SIGNAL, "died by SIGABRT"),
    ],
)
def test_the_first_sign_decides(ended: Ended, kind: Kind, headline: str) -> None:
    tree = Case(C()) if kind is Kind.PASSED else TREE
    outcome = judge(tree, ended)
    assert outcome.headline == headline or kind is Kind.PASSED
    # A trace without events is no pass, whatever the status says.
    assert outcome.kind is (Kind.DIVERGENCE if kind is Kind.PASSED else kind)


@pytest.mark.parametrize(
    ("ended", "kind", "headline"),
    [
        (end(DIED, finished=2), Kind.SIGNAL, "died by SIGABRT"),
        (end(DIED, "fatal error: x", finished=2), Kind.FATAL, "fatal error: x"),
        (end(HARNESS_STATUS << 8, finished=2), Kind.HARNESS, "the child gave up without saying why"),
        (end(0, finished=2, fault="ours"), Kind.HARNESS, "ours"),
        (
            end(DIED, OUT_OF_TIME, timed_out=True, finished=2),
            *(Kind.HANG, "it did not come to its end in time"),
        ),
        # It came to its end while it was looked at.
        (end(0, OUT_OF_TIME, timed_out=True, finished=2), Kind.HANG, "it did not come to its end in time"),
    ],
)
def test_how_a_child_ends_behind_its_last_case_is_that_cases(ended: Ended, kind: Kind, headline: str) -> None:
    first, last = judge_row([TREE, TREE], ended)
    assert (last.kind, last.headline, last.status, last.stderr) == (
        *(kind, headline, ended.status, ended.stderr),
    )
    assert first.kind is not kind
    assert (first.status, first.stderr) == (0, "")
    # As for a case alone.
    alone = judge(TREE, ended)
    assert (last.kind, last.signature.headline) == (alone.kind, alone.signature.headline)


def sampled(*samples: tuple[str, ...]) -> Ended:
    """A hang in which the thread of the callback stood in these functions, one sample after the other."""
    said = [OUT_OF_TIME]
    for number, names in enumerate(samples, 1):
        said.append(f"golib: sample {number} of {len(samples)}\n")
        said.append("golib: thread 1, by its frame pointers:\nruntime.futexsleep(...)\n\n")
        frames = "".join(f"{name}(...)\n" for name in (*names, "crosscall2"))
        said.append(f"golib: thread 2, by its frame pointers:\n{frames}\n")
    said.append("SIGSEGV: segmentation violation\nruntime.cgocall(...)\ncrosscall2(...)\n")
    return end(DIED, "".join(said), timed_out=True)


A, B, LONG = ("runtime.a",), ("runtime.b",), ("runtime.c", "runtime.d")


@pytest.mark.parametrize(
    ("samples", "frames"),
    [
        ((A,), A),
        ((LONG, A, B, A), A),
        ((A, LONG, B), LONG),
        ((A, LONG, LONG, A), LONG),
        ((A, B), A),
        # A thread on its way does not sign what stands still.
        (((), (), A), ()),
    ],
)
def test_of_a_hangs_samples_the_most_frequent_one_signs_then_the_longest(
    samples: tuple[tuple[str, ...], ...], frames: tuple[str, ...]
) -> None:
    outcome = judge(TREE, sampled(*samples))
    assert outcome.kind is Kind.HANG
    assert outcome.samples == samples
    assert outcome.signature.frames == frames


def test_only_a_hang_has_samples() -> None:
    assert judge(TREE, end(DIED, DUMP)).samples == ()


@pytest.mark.parametrize(
    ("stderr", "headline"),
    [
        ("fatal: morestack on g0\n", "fatal: morestack on g0"),
        ("panic: one\n\tpanic: two\nfatal error: three\n", "fatal error: three"),
        ("panic: one [recovered]\n\tpanic: two\n", "panic: one [recovered]"),
        ("it said panic: nothing\nfatal errors: none\n", ""),
        ("runtime: newstack at f\nfatal error: g\nfatal error: h\n", "fatal error: g"),
        ("unexpected fault address 0x10\nfatal error: fault\n", "fatal error: fault"),
        ("SIGSEGV: segmentation violation\nPC=0x1\n", "SIGSEGV: segmentation violation"),
        ("runtime: bad g in cgocallback\n", "runtime: bad g in cgocallback"),
    ],
)
def test_gos_headline_among_its_other_words(stderr: str, headline: str) -> None:
    assert judge(TREE, end(DIED, stderr)).headline == (headline or "died by SIGABRT")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("sp=0xc000012 of [0x7f00AB, 0x1]", "sp=N of [N, N]"),
        ("panic of node 12", "panic of node N"),
        ("exit status 2 without a word", "exit status N without a word"),
        # Numbers that are part of a name tell faults apart.
        ("morestack on g0", "morestack on g0"),
        ("died by SIGUSR1", "died by SIGUSR1"),
        ("node 1, node 22", "node N, node N"),
    ],
)
def test_what_differs_from_run_to_run_is_no_part_of_a_signature(text: str, normal: str) -> None:
    assert normalise(text) == normal


DUMP = """\
fatal error: runtime: stack split at bad time

runtime stack:
runtime.throw({0x7f5d?, 0x0?})
	runtime/panic.go:1067 +0x48 fp=0x7ffc sp=0x7ffc pc=0x7f5d
runtime.newstack()
	runtime/stack.go:1020 +0x5bd fp=0x7ffc sp=0x7ffc pc=0x7f5d

goroutine 17 gp=0xc000006700 m=0 mp=0x7f5d [running, locked to thread]:
runtime.(*_panic).nextFrame.func1(...)
	runtime/panic.go:1 +0x1
runtime.newstack()
runtime/debug.(*x).f(0x1)
main.golibGo(0x7f5d)
runtime.morestack()
runtime.cgocallback(0x0)
"""


def test_the_top_frames_of_the_runtime_are_those_it_was_in_when_it_began_to_die() -> None:
    frames = judge(TREE, end(DIED, DUMP)).signature.frames
    assert frames == ("runtime.newstack", "runtime.(*_panic).nextFrame.func1", "runtime/debug.(*x).f")
    assert len(frames) == FRAMES


def test_of_two_threads_that_die_at_once_the_headline_has_its_own_frames() -> None:
    said = (
        "runtime: newstack at runtime.printlock\nruntime.first(0x1)\nruntime.cgocallback(0x1)\n"
        "runtime: morestack on g0, stack [0x1 0x2], sp=0x3, called from\nruntime.second(0x1)\n"
        "fatal error: runtime: stack split at bad time\nruntime.third()\n"
    )
    signature = judge(TREE, end(DIED, said)).signature
    assert signature.headline == "fatal error: morestack on g0"
    assert signature.frames == ("runtime.second", "runtime.third")


def test_a_pass_or_a_harness_fault_has_no_frames() -> None:
    assert judge(TREE, end(DIED, DUMP, fault="ours")).signature.frames == ()


def test_a_signature_is_read_as_kind_headline_and_frames() -> None:
    assert str(judge(TREE, end(DIED, "fatal error: at 0x12\nruntime.a()\nruntime.b()\n")).signature) == (
        "fatal: fatal error: at N in runtime.a < runtime.b"
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exit status 0"),
        (2 << 8, "exit status 2"),
        (9, "SIGKILL"),
        (6 | 0x80, "SIGABRT"),
        (40, "signal 40"),
    ],
)
def test_a_wait_status_in_words(status: int, words: str) -> None:
    assert wait_status(status) == words


def test_a_divergence_before_a_death_is_kept(subject: Subject) -> None:
    # golib-1: on the way to its death the runtime had the wrong bounds.
    outcome = subject.run(Case(Go(Stack(Go(Panic())), recover=True)))
    assert outcome.kind in (Kind.FATAL, Kind.DIVERGENCE)
    if outcome.kind is Kind.FATAL:
        assert outcome.signatures == (outcome.signature,)
    else:
        assert len(outcome.signatures) == len(set(outcome.signatures)) > 1
