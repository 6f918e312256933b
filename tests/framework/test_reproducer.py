"""A case as a program in C and Go: what is written, that it compiles, and that it does what the case does."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from golib import commands
from golib.case import calltree
from golib.judge import known
from golib.judge.outcome import Kind, judge_program
from golib.show import issue_text, pieces, reproducer, visits
from golib.toolchains import program
from golib.toolchains.toolchain import resolve

EVERY_WORD = """Case(
    Go(Go(GC(), Grow(stack=300000), Yield(), Traceback(), LockThread(), Block(), Wake(), Random()),
        C(Signal(), SchedYield(), Setrlimit(stack=8388608), Go(Panic()), stack=3000, times=2),
        recover=True, deferred=(GC(), C(Go()))),
    Stack(Go(), region=2), Stack(Python(Go()), region=-1),
    Thread(Go(), kind='python'), Thread(Go(), kind='memory', stack=262144),
    Together(Thread(Go()), Thread(C(Go(), times=3), stack=262144)),
    Go(Thread(Go(Goexit()), kind='go', deferred=(Random(),)), Thread(Panic(), kind='go', recover=True),
        Together(Thread(Go(), kind='go'), Thread(Go()))),
    Export(name='GoF'), Export(name='GoEmpty'), Export(name='callGoWithVariousStackAndGoFrame'),
    bounds='hidden', godebug='asyncpreemptoff=1', gomaxprocs=3, stack_limit=67108864,
    on=('notify', 'blockprofile'), blocked='SIGPROF')"""
"""Each word that has a printer, and needs nothing of the host's."""

HOST_WORDS = (
    """Case(
        C(Go(Spin(), Pull(C(Go()), Give()), Next(), Next()), Signal(Go(), name='SIGUSR2'), Stack(Go())),
        Thread(C(Go(), AltStack(Go(GC())), AtEnd(Go(), round=2))), handlers='nostack')""",
    """Case(C(Go(), Stack(Go(C(Suspend(), Go()))), Go(), Stack(Go(), region=2), Resume(), Signal(C())),
        handlers='early', second='after')""",
)
"""Handlers, alternate stacks, destructors, coroutines of C's and of Go's, and another library."""


def _case(text: str) -> calltree.Case:
    return calltree.parse(text)


def test_every_kind_of_node_has_a_printer_or_is_refused_by_name() -> None:
    frames = {"Go", "C", "Python", "Stack", "Thread", "Together", "Export", "Delay", "AltStack", "AtEnd"}
    frames |= {"Suspend", "Pull", "Give", "NoCallback"}
    printed = {kind.__name__ for kind in (*reproducer.GO_LEAVES, *reproducer.C_LEAVES)}
    assert set(calltree.NODES) == frames | printed | {"Do"}


def test_every_switch_is_turned_on() -> None:
    assert set(pieces.SWITCHES) == set(calltree.SWITCHES)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Case(Thread(C()))", "Case(Thread(C()))"),
        ("Case(Go(Do(name='read')))", "Do(name='read')"),
        ("Case(C(Go(), Signal(C(), name='SIGSEGV')), handlers='early')", "Signal(name='SIGSEGV')"),
        ("Case(C(Go(), Signal(C(), name='SIGCHLD', by='child')))", "Signal(name='SIGCHLD', by='child')"),
        ("Case(Go(), second='before')", "second='before'"),
        ("Case(Go(Panic()), dies='panic')", "dies="),
        ("Case(Python(call='module:function'))", "Python(call='module:function')"),
        ("Case(Python(Export(name='Sum', args=(1,))))", "Export(name='Sum', args=(1,))"),
    ],
)
def test_what_has_no_program_is_refused_in_a_sentence(text: str, named: str) -> None:
    with pytest.raises(reproducer.Untranslatable) as refused:
        reproducer.program(_case(text))
    assert str(refused.value).startswith(f"{named}: ")
    assert "\n" not in str(refused.value)


def test_it_says_what_it_has_translated_otherwise() -> None:
    made = reproducer.program(_case("Case(Python(Go()), Thread(Go(), kind='python'), bounds='absent')"))
    assert made.changes == (
        "Python frames are C functions of 2500 bytes",
        "threads of Python's are native threads",
        "bounds='absent' is tried as hidden: pthread_getattr_np gives nothing",
    )
    assert "pthread_getattr_np" in made.files["main.c"]


def test_the_bytes_of_a_python_frame_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without them the callback behind it stands within what was estimated, and the program passes."""
    case = (
        "Case(Go(Yield(), recover=True, deferred=(Python(Go(Stack(SchedYield(), region=-1), recover=True,"
        " deferred=(LockThread(), Block()))), Export(name='GoEmpty'))), bounds='hidden')"
    )
    status = commands.main(["reproduce", case, "--go=1.23.4", f"--out={tmp_path}"])
    said = capsys.readouterr().out
    assert status == 0, said
    assert "neighbour" not in said
    assert "reproduced on go1.23.4: fatal error: runtime: stack split at bad time" in said


def test_nothing_stands_in_it_that_the_case_does_not_need() -> None:
    made = reproducer.program(_case("Case(Go(C(Go(), C(Go(), stack=40000), Go())), bounds='hidden')"))
    assert made.files["lib/lib.go"].count("\n") < 30
    for word in ("ucontext", "reserve", "start(", "is_ready", "signalled"):
        assert word not in made.files["main.c"]


@pytest.mark.parametrize("optimised", ["-O0", "-O2"])
@pytest.mark.parametrize("mode", ["c-archive", "c-shared"])
def test_every_word_compiles_and_runs(
    tmp_path: Path, mode: str, optimised: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPT", optimised)
    [toolchain], _ = resolve([])
    case = _case(EVERY_WORD)
    # Not run with the signals: golib-6 may hang it.
    program.write(
        reproducer.program(case.having(signals="SIGUSR1", on=tuple(calltree.SWITCHES))).files, tmp_path
    )
    program.build(toolchain, tmp_path, mode)
    assert program.vet(toolchain, tmp_path) == ""
    program.write(reproducer.program(case).files, tmp_path)
    program.build(toolchain, tmp_path, mode)
    assert program.vet(toolchain, tmp_path) == ""
    gofmt = subprocess.run(
        [toolchain.go.with_name("gofmt"), "-l", "lib/lib.go"], cwd=tmp_path, capture_output=True, check=True
    )
    assert gofmt.stdout == b""
    ran = program.run(tmp_path, 30)
    assert ran.stdout == "passed\n", ran.stderr


ALONE = [
    "Case(C(AltStack(Go())))",
    "Case(Thread(C(AtEnd(Go()))))",
    "Case(C(Stack(Go(C(Suspend()))), Resume()))",
    "Case(C(Go(), Signal(C(), name='SIGTERM')))",
    "Case(C(Go(), Signal(C())), handlers='early masked')",
    "Case(Thread(Go(), kind='memory'))",
    "Case(Together(Thread(Go(), Delay(ns=5)), Thread(Go()), policy='idle'))",
    "Case(Together(Thread(Go(), Gate(name='a')), Thread(Gate(name='a'), Go())))",
    "Case(Go(), Setrlimit(stack=8388608))",
    "Case(Go(C(SchedYield(), stack=9)))",
    "Case(Stack(Go(), region=2))",
    "Case(Stack(Go(), region=-2))",
    "Case(Go(), signals='SIGUSR1', on=('notify',))",
    "Case(Go(), blocked='SIGPROF')",
    "Case(Go(), second='after')",
    "Case(Go(), bounds='hidden')",
    "Case(Go(Together(Thread(Go(), kind='go'), Thread(Go(), kind='go'))))",
]
"""A word each, so that it brings all the headers that it needs itself."""


@pytest.mark.parametrize("text", ALONE)
def test_each_word_alone_has_its_headers(text: str, tmp_path: Path) -> None:
    """Strictly, as run.sh compiles it; of lib.h, which cgo writes, with the exports alone."""
    made = reproducer.program(_case(text), {"mask", "asked", "counted", "handled", "handler's mask"})
    program.write(made.files, tmp_path)
    exports = re.findall(r"^//export (\w+)$", made.files["lib/lib.go"], re.MULTILINE)
    types = {"notInGo": "unsigned long"}
    header = "".join(f"extern {types.get(name, 'void')} {name}(void);\n" for name in exports)
    (tmp_path / "lib.h").write_text(header)
    strict = ["cc", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I.", "main.c"]
    done = subprocess.run(strict, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("number", "mode"), [(0, "c-archive"), (1, "c-shared")])
def test_every_word_of_the_hosts_compiles_and_goes_as_the_script_says(
    tmp_path: Path, number: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPT", "-O0")
    [toolchain], _ = resolve(["1.27.4"])
    made = reproducer.program(_case(HOST_WORDS[number]), trace=True)
    program.write(made.files, tmp_path)
    program.build(toolchain, tmp_path, mode)
    assert program.vet(toolchain, tmp_path) == ""
    ran = program.run(tmp_path, 30)
    assert ran.stdout == "passed\n", ran.stderr
    assert visits.difference(made.visits, ran.stderr) == ""
    # Break what it guards: a frame that is not visited, and one too many.
    assert visits.difference(made.visits, ran.stderr.replace(" go", " c", 1)) != ""
    assert visits.difference(((*made.visits[0], "go99"), *made.visits[1:]), ran.stderr) != ""


@pytest.mark.parametrize(("name", "words"), [("golib-1", "morestack on g0"), ("golib-7", reproducer.WRONG)])
def test_a_reproducer_that_is_kept_shows_its_issue(name: str, words: str, tmp_path: Path) -> None:
    """As somebody runs it who has never heard of golib: with run.sh."""
    kept = tmp_path / name
    shutil.copytree(Path(__file__).parents[2] / "tools" / "reproducers" / name, kept)
    [toolchain], _ = resolve(["1.27.4"])
    program.build(toolchain, kept, "c-archive")
    ran = program.run(kept, 30)
    assert words in ran.stdout + ran.stderr
    assert ran.status != 0


@pytest.mark.parametrize("mode", ["c-archive", "c-shared"])
def test_a_known_issue_is_reproduced_and_explained(
    tmp_path: Path, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "made"
    status = commands.main(["reproduce", "golib-1", "--go=1.27.4", f"--mode={mode}", f"--out={folder}"])
    said = capsys.readouterr().out
    assert status == 0, said
    assert said.startswith("reproduced on go1.27.4: fatal error: morestack on g0 (run 1 of 3)\n")
    text = (folder / "issue.md").read_text()
    assert "https://github.com/golang/go/blob/go1.27.4/src/runtime/panic.go#L" in text
    assert str(tmp_path) not in text
    assert sorted(path.name for path in folder.iterdir()) == ["go.mod", "issue.md", "lib", "main.c", "run.sh"]


def test_a_release_without_the_fault_does_not_reproduce_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = commands.main(["reproduce", "golib-1", "--go=1.23.4", f"--out={tmp_path}"])
    assert status == 1
    assert capsys.readouterr().out.startswith("not reproduced on go1.23.4: dies of go#68285\n")


def test_a_silent_fault_is_counted_by_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = commands.main(["reproduce", "golib-10", "--go=1.27.4", f"--out={tmp_path}"])
    said = capsys.readouterr().out
    assert status == 0, said
    assert "reproduced on go1.27.4: wrong: SIGPROF is blocked no more" in said


def test_of_a_silent_case_a_neighbour_dies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = "Case(Go(Go(Panic()), recover=True), bounds='hidden')"
    status = commands.main(["reproduce", case, "--go=1.27.4", f"--out={tmp_path}"])
    said = capsys.readouterr().out
    assert status == 0, said
    assert "the case is silent; a neighbour dies of golib-1: Case(Go(Stack(" in said
    assert "reproduced on go1.27.4: fatal error: morestack on g0" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["golib-99"], "golib-99: no known issue has this id; there are golib-1, "),
        (["Case(Gone())"], "Gone is no node of a call tree"),
        (["missing.json"], "missing.json holds no case: "),
        (["Case(Go())", "--runs=-1"], "--runs and --seconds: each is a number above 0"),
        (["Case(Python(call='module:function'))"], "Python(call='module:function'): a scenario is Python"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["reproduce", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"golib reproduce: {said}")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_stacks_of_a_hung_program_are_read_as_those_of_a_hung_child() -> None:
    issue = next(one for one in known.shipped() if one.id == "golib-5")
    stderr = (
        "SIGSEGV: segmentation violation\n\ngoroutine 1 [running]:\nruntime.mcall(0x1)\n\n"
        "runtime.lock2(0x1)\nruntime.dropm()\nruntime.badsignal(0xa, 0x1)\nruntime.sigtrampgo(0xa)\n"
    )
    outcome = judge_program(issue.proof, 11, stderr, timed_out=True, complete=False)
    assert outcome.kind is Kind.HANG
    assert issue.explains_end(outcome)
    assert not issue.explains_end(judge_program(issue.proof, 11, stderr, timed_out=False, complete=False))


def test_an_issue_says_what_was_seen_where() -> None:
    case = _case("Case(Go(), blocked='SIGPROF')")
    made = reproducer.program(case, {"mask"})
    text = issue_text.issue(None, case, made, [("go1.27.4", True, "reproduced on go1.27.4: wrong: x", "")])
    assert text.startswith("# runtime: wrong: x\n")
    assert "- reproduced on go1.27.4: wrong: x" in text
    assert "```c\n" in text


def test_a_schedule_is_printed_as_it_is() -> None:
    first = "Thread(Gate(name='a b'), Go(), Delay(ns=5000, steps=10))"
    second = "Thread(Go(C(Gate(name='a b'))))"
    made = reproducer.program(_case(f"Case(Together({first}, {second}, policy='idle'), processors=1)"))
    text = made.files["main.c"]
    assert text.count("meet(&meeting_a_20_b);") == 2
    assert "meeting_a_20_b = {.threads = 2}" in text
    assert "delay(5000, 10, &runs" in text
    assert text.count("\tbe_idle();") == 2
    assert "exec taskset -c 0-0 timeout" in made.files["run.sh"]
