"""Call trees as data: out and in again, and which of them are legal, with the reason."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from golib import (
    GC,
    AltStack,
    C,
    Case,
    Export,
    Go,
    Goexit,
    Grow,
    IllegalCase,
    Node,
    Panic,
    Python,
    Setrlimit,
    Signal,
    Stack,
    Thread,
    Together,
    Traceback,
    Yield,
    parse,
)
from golib.case import calltree, legality
from golib.case.calltree import (
    ESTIMATE_BELOW,
    KIB,
    MAIN_ROOM,
    NODES,
    REGIONS,
    SMALLEST_LIMIT,
    from_json,
)
from golib.case.legality import (
    GO_FRAME,
    INTERPRETER,
    RESERVE,
    SMALLEST_PYTHON_STACK,
    Basis,
    check,
    leaves_interpreter,
)
from golib.case.script import End, Phase, end
from golib.door import Subject

SEED = Go(C(Go(), C(Go(Panic()), stack=40_000), Go()), recover=True)
CROSSING = Thread(Go(Python(Go(Panic())), recover=True))

EXAMPLES = [
    Case(SEED),
    Case(Go(), Go(C(Go()), recover=True, deferred=(GC(), C(Go())))),
    Case(C(Go(), stack=512, times=10_000), bounds="hidden"),
    Case(Python(Go(Grow(stack=100_000), Yield(), Traceback())), stack_limit=SMALLEST_LIMIT),
    Case(Stack(Go(), region=-4), Stack(Go(), region=4), stack_limit="unlimited", bounds="absent"),
    Case(Thread(Go(), kind="memory", stack=64 * KIB), Go(Thread(Go(), kind="go"))),
    Case(Go(Together(Thread(Go()), Thread(Go(), kind="python", stack=1 << 20)))),
    Case(
        Export(name="callGoWithVariousStackAndGoFrame", p=1),
        Export(C(Go()), name="callGoWithVariousStackAndGoFrame"),
    ),
    Case(Python(Export(name="GoEmpty")), godebug="gcstoptheworld=1"),
    Case(C(Signal(), Signal(name="SIGURG"), Setrlimit(stack=1 << 20)), on=("notify",)),
    Case(CROSSING),
    # Each node that there is, bare: legal or not, it must come back.
    *(Case(kind()) for kind in NODES.values()),
]


@pytest.mark.parametrize("case", EXAMPLES, ids=str)
def test_what_is_printed_can_be_pasted(case: Case) -> None:
    assert parse(repr(case)) == case
    assert eval(repr(case), {**NODES, "Case": Case}) == case


@pytest.mark.parametrize("case", EXAMPLES, ids=str)
def test_a_case_goes_through_json_and_comes_back(case: Case) -> None:
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case


def test_a_bare_tree_is_a_case() -> None:
    assert parse(" Go(C())\n") == Case(Go(C()))


def test_cases_are_values() -> None:
    assert hash(Case(SEED)) == hash(parse(repr(Case(SEED))))
    assert Case(Go()) != Case(Go(), bounds="hidden")
    assert Go() != C()
    with pytest.raises(AttributeError):
        Go().recover = True  # type: ignore[misc]


def test_defaults_are_not_printed() -> None:
    case = Case(Go(recover=False), C(stack=0, times=1), Thread(kind="native", stack=0), bounds="real")
    assert repr(case) == "Case(Go(), C(), Thread())"
    assert case.to_json() == {"trees": [{"node": "Go"}, {"node": "C"}, {"node": "Thread"}]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Case(Go(",
        "Case(Go()); Case(Go())",
        "x = Case(Go())",
        "Case(Went())",
        "Case(Go(speed=1))",
        "Case(Go(), mood='good')",
        "Case(C(stack=40 * 1024))",
        "Case(Go(), stack_limit=limit)",
        "Case(*[Go()])",
        "Go(**{'recover': True})",
        "[Go() for _ in range(3)]",
        "lambda: Go()",
        "golib.Go()",
        "(" * 3000,
        "Go(" * 500,
        "\0",
    ],
)
def test_a_text_that_is_no_case_is_refused(text: str) -> None:
    with pytest.raises(IllegalCase):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "Case(Go(), godebug=__import__('os').environ.update(GOLIB_EVALUATED='1'))",
        "__import__('os').environ.update(GOLIB_EVALUATED='1')",
        "Case((lambda: __import__('os').environ.update(GOLIB_EVALUATED='1'))())",
        "Case(C(stack=[__import__('os').environ.update(GOLIB_EVALUATED='1')]))",
    ],
)
def test_nothing_is_evaluated(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOLIB_EVALUATED", raising=False)
    with pytest.raises(IllegalCase):
        parse(text)
    import os

    assert "GOLIB_EVALUATED" not in os.environ


@pytest.mark.parametrize(
    "data",
    [{}, {"node": "Went"}, {"node": ["Go"]}, {"node": "Go", "body": 1}, {"node": "Go", "speed": 1}, 1, None],
    ids=str,
)
def test_data_that_is_no_node_is_refused(data: Any) -> None:
    with pytest.raises(IllegalCase):
        from_json(data)
    with pytest.raises(IllegalCase):
        Case.from_json({"trees": [data]})


@pytest.mark.parametrize("data", [{}, {"trees": 1}, {"trees": [], "mood": "good"}], ids=str)
def test_data_that_is_no_case_is_refused(data: Any) -> None:
    with pytest.raises(IllegalCase):
        Case.from_json(data)


@pytest.mark.parametrize("data", [[], 1, None, "Go"], ids=str)
def test_json_that_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(IllegalCase):
        Case.from_json(data)


# Legality: each rule refuses, and lets the neighbour pass.

GO_NEEDS = GO_FRAME + RESERVE
MAIN = calltree.DEFAULT_STACK - INTERPRETER
DEEP = MAIN - legality.C_FRAME
"""The most that a C frame on the usual main thread can hold."""


def deep(room: int, *body: Node) -> C:
    """A C frame that leaves so many bytes of the main thread's stack."""
    return C(*body, stack=DEEP - room)


FULL = "callGoWithVariousStackAndGoFrame"


@pytest.mark.parametrize(
    ("illegal", "where", "why", "legal"),
    [
        (Case(), "", "a case needs a call tree", Case(Go())),
        (Case(Go(), bounds="none"), "", "bounds='none': it is one of real, ", Case(Go(), bounds="absent")),
        (Case(Go(), on=("tv",)), "", "on=('tv',): a process can have turned on", Case(Go(), on=("notify",))),
        (
            Case(Go(), blocked="SIGKILL"),
            "",
            "blocked='SIGKILL': it is one of SIGURG, SIGUSR1, SIGPROF",
            Case(Go(), blocked="SIGUSR1"),
        ),
        (
            Case(Signal(name="SIGUSR1"), blocked="SIGUSR1", on=("notify",)),
            "",
            "SIGUSR1 is blocked and sent: it would never be delivered",
            Case(Signal(name="SIGURG"), blocked="SIGUSR1", on=("notify",)),
        ),
        (
            Case(Go(), blocked="SIGUSR1", signals="SIGUSR1", on=("notify",)),
            "",
            "SIGUSR1 is blocked and sent",
            Case(Go(), blocked="SIGUSR1", signals="SIGURG"),
        ),
        (
            Case(Go(), stack_limit=SMALLEST_LIMIT - 1),
            "",
            f"stack_limit={SMALLEST_LIMIT - 1}: bytes from {SMALLEST_LIMIT}",
            Case(Go(), stack_limit=SMALLEST_LIMIT),
        ),
        (
            Case(Go(), stack_limit="large"),
            "",
            "stack_limit='large': bytes",
            Case(Go(), stack_limit="unlimited"),
        ),
        # Panics.
        (
            Case(Go(), Go(Panic())),
            "tree 1 ",
            "panics with no recover above it",
            Case(Go(), Go(Panic(), recover=True)),
        ),
        (
            Case(Go(recover=True, deferred=(Panic(),))),
            "tree 0 ",
            "panics with no recover above it",
            Case(Go(C(Go(recover=True, deferred=(Panic(),))), recover=True)),
        ),
        (
            Case(Go(Thread(Go(Panic())), recover=True)),
            "node 0.0, Thread()",
            "a panic would leave this thread with no recover above it",
            Case(Go(Thread(Go(Panic(), recover=True)))),
        ),
        # Room.
        (Case(deep(-1)), "node 0, C(", "a C frame needs", Case(deep(0))),
        (
            Case(deep(GO_NEEDS - 1, Go())),
            "node 0.0, Go()",
            f"a Go frame needs {GO_NEEDS} bytes of stack, {GO_NEEDS - 1} are left",
            Case(deep(GO_NEEDS, Go())),
        ),
        (
            Case(deep(GO_NEEDS + ESTIMATE_BELOW - 1, Go()), bounds="hidden"),
            "node 0.0, Go()",
            "a Go frame needs",
            Case(deep(GO_NEEDS + ESTIMATE_BELOW, Go()), bounds="hidden"),
        ),
        (
            Case(deep(legality.PYTHON_FRAME - 1, Python())),
            "node 0.0, Python()",
            "a Python frame needs",
            Case(deep(legality.PYTHON_FRAME, Python())),
        ),
        (
            Case(deep(2 * KIB - 1, Stack())),
            "node 0.0, Stack()",
            "a switch of stacks needs",
            Case(deep(2 * KIB, Stack())),
        ),
        (Case(C(stack=-1)), "node 0, C(stack=-1)", "stack is a number from 0", Case(C(stack=1))),
        (Case(C(times=0)), "node 0, C(times=0)", "times is a number from 1", Case(C(times=1))),
        # Foreign stacks.
        (Case(Stack(region=0)), "node 0, Stack(region=0)", "region is one of -4, ", Case(Stack(region=-1))),
        (
            Case(Stack(Go(Stack(region=2)), region=2)),
            "node 0.0.0, Stack(region=2)",
            "this foreign stack is in use above it",
            Case(Stack(Go(Stack(region=3)), region=2), Stack(region=2)),
        ),
        (
            Case(Stack(Thread(Stack(region=2)), region=2)),
            "node 0.0.0, ",
            "this foreign stack is in use above it",
            Case(Stack(Thread(Stack(region=1)), region=2)),
        ),
        (
            Case(Together(Thread(Stack(region=2)), Thread(C(Stack(region=2))))),
            "node 0, Together()",
            "two of its threads would run on the same foreign stack",
            Case(Together(Thread(Stack(region=2)), Thread(C(Stack(region=1))))),
        ),
        (
            Case(Together(Go())),
            "node 0, Together()",
            "only threads run together, Go() is none",
            Case(Together(Thread(Go()))),
        ),
        # Threads.
        (
            Case(Thread(kind="green")),
            "node 0, Thread(kind='green')",
            "kind is one of",
            Case(Thread(kind="memory")),
        ),
        (
            Case(Thread(kind="go")),
            "node 0, Thread(kind='go')",
            "only a Go frame makes",
            Case(Go(Thread(kind="go"))),
        ),
        (
            Case(Go(Thread(kind="go", stack=65536))),
            "node 0.0, ",
            "Go chooses the stack of its own threads",
            Case(Go(Thread(kind="native", stack=65536))),
        ),
        (
            Case(Thread(stack=12 * KIB)),
            "node 0, ",
            "multiple of 4096 bytes from 16384",
            Case(Thread(stack=16 * KIB)),
        ),
        (
            Case(Thread(kind="python", stack=SMALLEST_PYTHON_STACK - 4 * KIB)),
            "node 0, ",
            f"multiple of 4096 bytes from {SMALLEST_PYTHON_STACK}",
            Case(Thread(kind="python", stack=SMALLEST_PYTHON_STACK)),
        ),
        (Case(Thread(stack=65537)), "node 0, ", "multiple of 4096", Case(Thread(stack=65536))),
        (
            Case(Thread(Go(), stack=16 * KIB)),
            "node 0.0, Go()",
            "a Go frame needs",
            Case(Thread(Go(), stack=20 * KIB)),
        ),
        # Exports.
        (
            Case(Export(name="not a name")),
            "node 0, Export(name='not a name')",
            "name is that of an export of the library, such as GoF, ",
            Case(Export(name="GoF")),
        ),
        (
            Case(Export(C(), name="GoF")),
            "node 0, ",
            "has a C side to be replaced",
            Case(Export(C(), name=FULL)),
        ),
        (
            Case(Export(Go(), name=FULL, p=1)),
            "node 0, ",
            "with p=1 it demands a panic",
            Case(Export(Go(Panic()), name=FULL, p=1)),
        ),
        (
            Case(Export(name="GoF", p=1)),
            "tree 0 ",
            "panics",
            Case(Export(Export(name="GoF", p=1), name=FULL, p=1)),
        ),
        (
            Case(Go(Export(Go(Panic()), name=FULL), recover=True)),
            "node 0.0, ",
            "with p=0 it does not recover",
            Case(Go(Export(name=FULL))),
        ),
        # Leaves.
        (Case(GC()), "node 0, GC()", "only a Go frame can do this", Case(Go(GC()))),
        (Case(Go(C(Grow()))), "node 0.0.0, Grow()", "only a Go frame can do this", Case(Go(C(Go(Grow()))))),
        (Case(Python(Yield())), "node 0.0, Yield()", "only a Go frame can do this", Case(Go(Yield()))),
        (
            Case(Go(Signal(name="SIGURG"))),
            "node 0.0, Signal(",
            "only a C frame can do this",
            Case(Go(C(Signal(name="SIGURG")))),
        ),
        (Case(Python(Setrlimit())), "node 0.0, Setrlimit()", "only a C frame can do this", Case(Setrlimit())),
        (Case(Signal(name="SIGKILL")), "node 0, ", "name is one of SIGURG, ", Case(Signal(name="SIGURG"))),
        (Case(Signal()), "node 0, Signal()", "has not turned 'notify' on", Case(Signal(), on=("notify",))),
        (
            Case(Go(Goexit())),
            "node 0.0, Goexit()",
            "only on a thread that Go made",
            Case(Go(Thread(Goexit(), kind="go"))),
        ),
        (
            Case(from_json({"node": "Go", "body": [{"node": "GC", "body": [{"node": "GC"}]}]})),
            "node 0.0, GC()",
            "a leaf has no body",
            Case(Go(GC(), GC())),
        ),
        # Panics across Python.
        (
            Case(Go(Python(Go(Panic())), recover=True)),
            "",
            "a panic crosses Python frames: wrap the last tree in Thread(",
            Case(CROSSING),
        ),
        (
            Case(CROSSING, Go()),
            "",
            "before the last tree: Python must not run after it",
            Case(Go(), CROSSING),
        ),
        (
            Case(Thread(Go(Python(Go(Panic())), recover=True), kind="python")),
            "",
            "wrap the last tree in Thread(",
            Case(Thread(Go(Python(Go(Panic())), recover=True), kind="memory")),
        ),
        (
            Case(Thread(Go(Python(Go(Panic())), recover=True), Python())),
            "node 0.1",
            "Python runs after a panic has crossed",
            Case(Thread(Python(), Go(Python(Go(Panic())), recover=True))),
        ),
        (
            parse("Case(Go(Spin()), blocked='SIGURG')"),
            "node 0.0, Spin()",
            "with blocked='SIGURG' no loop is preempted",
            parse("Case(Go(Spin()), blocked='SIGPROF')"),
        ),
        (
            parse("Case(Go(Spin()), godebug='gccheckmark=1')"),
            "node 0.0, Spin()",
            "with godebug='gccheckmark=1' no loop is preempted",
            parse("Case(Go(GC()), godebug='gccheckmark=1')"),
        ),
        # A callback is left behind: only where the case says what it dies of.
        (
            parse("Case(C(Go(C(Stack(Go(C(Suspend())))))))"),
            "node 0.0, Go()",
            "callbacks end in the order of a stack",
            parse("Case(C(Go(C(Stack(Go(C(Suspend())))))), dies='exitsyscall')"),
        ),
        (
            parse("Case(Signal(Signal(C(), name='SIGUSR2'), name='SIGUSR2'))"),
            "node 0.0, Signal(",
            "in a handler of the host's SIGUSR2 is blocked",
            parse("Case(Signal(Signal(C(), name='SIGALRM'), name='SIGUSR2'))"),
        ),
        (
            parse("Case(Signal(Thread(Signal(C(), name='SIGALRM')), name='SIGUSR2'), handlers='masked')"),
            "node 0.0.0, Signal(",
            "in a handler of the host's SIGALRM is blocked",
            parse("Case(Signal(Thread(C()), name='SIGUSR2'), handlers='masked')"),
        ),
        (
            parse("Case(Signal(C(Signal(C(), name='SIGALRM')), name='SIGPIPE'), handlers='early')"),
            "node 0.0.0, Signal(",
            "in a handler of the host's SIGALRM is blocked",
            parse("Case(Signal(C(), name='SIGPIPE'), handlers='early')"),
        ),
        (
            parse("Case(Stack(C(Suspend())), Signal(C(Resume()), name='SIGUSR2'), Resume())"),
            "node 1.0.0, Resume(",
            "in a handler of the host's no foreign stack is resumed",
            parse("Case(Stack(C(Suspend())), Signal(C(), name='SIGUSR2'), Resume())"),
        ),
        (
            parse("Case(Stack(C(Signal(C(Suspend()), name='SIGUSR2'))), Go(), Resume())"),
            "node 0.0.0.0.0, Suspend(",
            "in a handler of the host's nothing is suspended",
            parse("Case(Stack(C(Signal(C(), name='SIGUSR2'), Suspend())), Go(), Resume())"),
        ),
        (
            parse("Case(Go(Pull(C(Go(Next()))), Next()))"),
            "node 0.1.0.0.0, Next(",
            "it stands in the body of that one",
            parse("Case(Go(Pull(C(Go())), Next()))"),
        ),
        # And not where the younger one waits, and the older one's stack was resumed: its end is another's.
        (
            parse(
                "Case(C(Stack(Go(C(Suspend()))), Stack(Go(C(Suspend())), region=2), Resume(),"
                " Resume(region=2)), dies='exitsyscall')"
            ),
            "node 0.0.0, Go()",
            "callbacks end in the order of a stack",
            parse(
                "Case(C(Stack(Go(C(Suspend()))), Stack(Go(C(Suspend())), region=2), Resume(region=2),"
                " Resume()))"
            ),
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_illegal_case_is_refused_and_its_neighbour_is_not(
    illegal: Case, where: str, why: str, legal: Case
) -> None:
    with pytest.raises(IllegalCase) as caught:
        check(illegal)
    message = str(caught.value)
    assert message.startswith(where)
    assert why in message
    check(legal)


# The main thread's room, as its limit changes.

MIB = 1024 * KIB
LARGE, SMALL = Setrlimit(stack=64 * MIB), Setrlimit(stack=1 * MIB)
LARGE_ON_A_THREAD = Thread(LARGE)


@pytest.mark.parametrize(
    ("illegal", "left", "legal"),
    [
        # It may go deeper where the limit is raised, and as deep as memory is kept free for it.
        (Case(C(stack=16 * MIB)), 8 * MIB, Case(LARGE, C(stack=16 * MIB))),
        (Case(C(stack=16 * MIB), LARGE), 8 * MIB, Case(C(LARGE, C(stack=16 * MIB)))),
        (Case(C(stack=16 * MIB)), 8 * MIB, Case(LARGE_ON_A_THREAD, C(stack=16 * MIB))),
        (Case(C(stack=16 * MIB)), 8 * MIB, Case(C(stack=16 * MIB), stack_limit=64 * MIB)),
        (Case(C(stack=16 * MIB)), 8 * MIB, Case(C(stack=16 * MIB), stack_limit="unlimited")),
        (
            Case(Setrlimit(stack=1 << 40), C(stack=MAIN_ROOM)),
            MAIN_ROOM,
            Case(Setrlimit(stack=1 << 40), C(stack=MAIN_ROOM - MIB)),
        ),
        (Case(C(stack=MAIN_ROOM), stack_limit="unlimited"), MAIN_ROOM, Case(Go(), stack_limit="unlimited")),
        # It may not where the limit is lowered, but for what is there already.
        (Case(SMALL, C(stack=4 * MIB)), 1 * MIB, Case(C(stack=4 * MIB), SMALL)),
        (Case(C(SMALL, Go(), stack=4 * MIB)), 0, Case(C(SMALL, stack=4 * MIB))),
        (Case(SMALL, C(stack=4 * MIB)), 1 * MIB, Case(C(stack=6 * MIB), SMALL, C(stack=4 * MIB))),
        (
            Case(C(C(Go(), stack=600 * KIB), Setrlimit(stack=SMALLEST_LIMIT), times=2)),
            600 * KIB,
            Case(C(C(Go(), stack=600 * KIB), Setrlimit(stack=SMALLEST_LIMIT))),
        ),
        # What never runs sets nothing, and leaves nothing behind.
        (
            Case(Go(C(Go(Panic()), LARGE), recover=True), C(stack=16 * MIB)),
            8 * MIB,
            Case(Go(C(LARGE, Go(Panic())), recover=True), C(stack=16 * MIB)),
        ),
        (
            Case(Go(C(Go(Panic()), C(stack=6 * MIB)), recover=True), SMALL, C(stack=4 * MIB)),
            1 * MIB,
            Case(Go(C(C(stack=6 * MIB), Go(Panic())), recover=True), SMALL, C(stack=4 * MIB)),
        ),
        # Of threads at once the one that sets it last is not known.
        (
            Case(Together(Thread(SMALL), LARGE_ON_A_THREAD), C(stack=4 * MIB)),
            1 * MIB,
            Case(Together(LARGE_ON_A_THREAD, LARGE_ON_A_THREAD), C(stack=16 * MIB)),
        ),
        # A limit is nothing to a thread that has its stack.
        (Case(LARGE, Thread(C(stack=16 * MIB))), 8 * MIB, Case(SMALL, Thread(C(stack=4 * MIB)))),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_main_threads_room_is_what_its_limit_is_by_then(illegal: Case, left: int, legal: Case) -> None:
    with pytest.raises(IllegalCase, match=r"needs \d+ bytes of stack, \d+ are left") as caught:
        check(illegal)
    told = int(str(caught.value).rpartition(", ")[2].split()[0])
    assert max(0, left - INTERPRETER - 2 * KIB) <= told <= left
    check(legal)


@pytest.mark.parametrize(
    "case",
    [
        Case(LARGE, C(Go(GC()), stack=32 * MIB)),
        Case(Setrlimit(stack=1 << 40), C(Go(GC()), stack=MAIN_ROOM - MIB)),
        Case(C(Go(GC()), stack=MAIN_ROOM - MIB), stack_limit="unlimited"),
        Case(C(stack=6 * MIB), SMALL, C(Go(GC()), stack=4 * MIB)),
        Case(C(Go(GC()), stack=7 * MIB)),
    ],
    ids=str,
)
def test_the_room_that_legality_sees_is_there(subject: Subject, case: Case) -> None:
    check(case)
    outcome = subject.run(case)
    assert (outcome.kind.value, outcome.headline) == ("passed", "passed")


def test_the_least_stack_of_a_python_thread_is_what_this_python_says() -> None:
    # In another process: the size is the process's own setting.
    tries = "import sys, threading; threading.stack_size(int(sys.argv[1]))"
    for size, refused in ((SMALLEST_PYTHON_STACK, False), (SMALLEST_PYTHON_STACK - 4 * KIB, True)):
        done = subprocess.run([sys.executable, "-c", tries, str(size)], capture_output=True, check=False)
        assert (b"ValueError" in done.stderr) is refused


def test_asking_python_leaves_its_setting_as_it_was() -> None:
    code = "import threading as t; t.stack_size(1 << 20); import golib.case.legality; print(t.stack_size())"
    assert subprocess.check_output([sys.executable, "-c", code]) == b"1048576\n"


@pytest.mark.parametrize(
    "text",
    [
        "Case(1)",
        "Case(Go(1))",
        "Case(Case(Go()))",
        "Case(C(stack='a'))",
        "Case(C(stack=1.5))",
        "Case(Go(), godebug=7)",
        "Case(Go(), stack_limit=1000000000000000000000000000000)",
        "Case(C(times=1000000000000000000000000))",
        # Go ends a process whose goroutine wants more than a gigabyte (runtime/debug.SetMaxStack).
        "Case(Go(Grow(stack=2000000000)))",
        "Case(Go(Grow(stack=-1)))",
        # The main thread's stack could no longer grow.
        "Case(Setrlimit(stack=1))",
        "Case(Setrlimit(stack=-1))",
    ],
)
def test_a_value_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(IllegalCase):
        check(parse(text))


@pytest.mark.parametrize(
    ("case", "basis"),
    [
        (Case(Go(C(Go()))), {Basis.PROMISED}),
        (Case(Go(), bounds="hidden"), {Basis.PROMISED, Basis.SEED}),
        (Case(Go(), bounds="absent"), {Basis.PROMISED, Basis.SEED}),
        (Case(Stack(Go())), {Basis.PROMISED, Basis.SEED}),
        (Case(Go(Stack(Go()))), {Basis.PROMISED, Basis.SILENT}),
        (Case(Go(Thread(Stack(Go())))), {Basis.PROMISED, Basis.SEED}),
        (Case(C(Setrlimit())), {Basis.PROMISED, Basis.SILENT}),
        (Case(CROSSING), {Basis.PROMISED, Basis.SILENT}),
    ],
    ids=lambda value: str(value) if isinstance(value, Case) else "",  # a set has no order
)
def test_each_legal_case_says_why_it_must_hold(case: Case, basis: set[Basis]) -> None:
    assert check(case) == basis


@pytest.mark.parametrize(
    ("node", "does"),
    [
        (Panic(), True),
        (GC(), False),
        (Go(Panic()), True),
        (Go(Panic(), recover=True), False),
        (C(Python(Stack(Go(Panic())))), True),
        (Go(deferred=(Panic(),)), True),
        (Go(recover=True, deferred=(Go(Panic()),)), True),
        (Go(Panic(), recover=True, deferred=(Go(Panic(), recover=True),)), False),
        (Thread(Go(Panic())), False),
        (Together(Thread(Go(Panic()))), False),
        (Export(name="GoF"), False),
        (Export(name="GoF", p=1), True),
        (Export(name=FULL, p=1), False),
        (Export(Go(Panic()), name=FULL, p=1), False),
        (Export(Go(Panic()), name=FULL), True),
        (SEED, False),
    ],
    ids=str,
)
def test_whether_a_panic_leaves_a_node_is_known_from_the_tree(node: Node, does: bool) -> None:
    assert (end(node) is End.PANIC) is does


@pytest.mark.parametrize(
    ("case", "does"),
    [
        (Case(CROSSING), True),
        (Case(SEED), False),
        (Case(Python(SEED)), False),
        (Case(Go(Python(Go(C(Python(Go(Panic()))))), recover=True)), True),
        (Case(Go(Python(Go(Panic(), recover=True)))), False),
    ],
    ids=str,
)
def test_whether_a_panic_crosses_the_interpreter_is_known_too(case: Case, does: bool) -> None:
    assert leaves_interpreter(case) is does


# Numbers.

NUMBERED = Case(
    Go(C(Go(), Go()), recover=True, deferred=(C(Go()), GC(), C())),
    C(Go(C(), deferred=(C(Go()),)), Python(Go(), C())),
    Stack(Go(Thread(Go())), region=REGIONS[0]),
)


def test_a_walk_numbers_parents_first_and_what_is_deferred_last() -> None:
    walked = list(NUMBERED.walk())
    assert [placed.number for placed in walked] == list(range(NUMBERED.size()))
    assert [placed.path for placed in walked][:9] == [
        *("0", "0.0", "0.0.0", "0.0.1", "0.1", "0.1.0", "0.2", "0.3", "1"),
    ]
    by_number = {placed.number: placed for placed in walked}
    for placed in walked:
        assert placed.depth == placed.path.count(".") + 1
        if placed.parent is not None:
            above = by_number[placed.parent]
            assert placed.path.rpartition(".")[0] == above.path
            assert placed.node in above.node.children()


def test_the_traces_numbers_are_those_of_the_walk(subject: Subject) -> None:
    outcome = subject.run(NUMBERED)
    assert outcome.divergences == ()
    kinds = {placed.number: type(placed.node) for placed in NUMBERED.walk()}
    # Each node leaves events of the kind that it is, and no stranger does.
    assert {event.node for event in outcome.events} == set(kinds)
    done = [event.node for event in outcome.events if event.phase is Phase.DID]
    assert done == [number for number, kind in kinds.items() if kind is GC]
    entered = [event for event in outcome.events if event.phase is Phase.ENTERED]
    assert [event.node for event in entered] == sorted(event.node for event in entered)
    assert all(kinds[event.node] is Go for event in entered if event.in_go)
    assert all(kinds[event.node] is not Go for event in entered if not event.in_go)


def test_a_case_keeps_its_trees_where_none_are_given() -> None:
    case = Case(Go(), C(), bounds="hidden")
    assert case.having(blocked="SIGPROF") == Case(Go(), C(), bounds="hidden", blocked="SIGPROF")
    assert case.having(Go()) == Case(Go(), bounds="hidden")


def test_a_handler_has_the_alternate_stack_that_is_there() -> None:
    """As large as the host made it: the next thing that lies below it is not the handler's to overwrite."""
    handled = Signal(C(stack=24 * KIB))
    check(Case(C(handled)))
    check(Case(C(AltStack(Signal(C(stack=40_000))))))
    with pytest.raises(IllegalCase, match=r"needs \d+ bytes of stack, 12288 are left"):
        check(Case(C(AltStack(handled, size=16 * KIB))))
    with pytest.raises(IllegalCase, match=r"needs \d+ bytes of stack, 28672 are left"):
        check(Case(C(AltStack(Thread(Signal(C(stack=40_000)))))))  # a new thread has Go's, or its own
    # Seen: free() found the memory below it overwritten, once in a hundred runs.
    with pytest.raises(IllegalCase, match=r"the start of a thread needs \d+ bytes of stack, 3584 are left"):
        check(Case(C(AltStack(Signal(C(Thread(kind="python"), stack=8 * KIB)), size=16 * KIB))))
    check(Case(C(AltStack(Signal(C(Thread(), stack=8 * KIB)), size=16 * KIB))))
