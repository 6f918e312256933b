"""Programs that tell their way and compile strictly whatever they are made of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from golib import commands, fuzz, reproduce
from golib.case import calltree
from golib.case.calltree import Case
from golib.show import reproducer, visits
from golib.toolchains import program
from golib.toolchains.toolchain import resolve
from tools import samples

WAYS = """Case(
    Go(C(Go(Panic()), times=2), recover=True, deferred=(C(Go()),)),
    C(Thread(Go()), Go(), times=3),
    Stack(Go(Thread(Go(Goexit()), kind='go', deferred=(C(),)))),
    Together(Thread(Go()), Thread(C(Go(C(), C())))))"""


def _translatable(count: int) -> list[Case]:
    """Drawn cases that have a program and turn nothing on."""
    found: list[Case] = []
    for case in fuzz.generate(400, "strict"):
        plain = Case(*case.trees, bounds="hidden")
        try:
            reproducer.program(plain)
        except reproducer.Untranslatable:
            continue
        found.append(plain)
    return found[:count]


def test_drawn_cases_compile_strictly(tmp_path: Path) -> None:
    """One program of twenty cases, which is not run: cc takes its C with every warning, and go vet its Go."""
    [toolchain], _ = resolve([])
    cases = [*_translatable(20), calltree.parse("Case(Go(Together(Thread(kind='go'), Thread(kind='go'))))")]
    kinds = {type(placed.node) for case in cases for placed in case.walk()}
    assert kinds >= {calltree.Stack, calltree.Together, calltree.Thread, calltree.Panic, calltree.Export}
    whole = Case(*(tree for case in cases for tree in case.trees), bounds="hidden")
    program.write(reproducer.program(whole, {"counted"}, trace=True).files, tmp_path)
    program.build(toolchain, tmp_path)
    assert program.vet(toolchain, tmp_path) == ""
    strict = ["cc", "-O0", "-Wall", "-Wextra", "-Werror", "-Ilib", "-c", "main.c", "-o", "main.o"]
    done = subprocess.run(strict, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_thread_comes_into_its_frames_in_the_order_of_the_script(tmp_path: Path) -> None:
    [toolchain], _ = resolve([])
    made = reproducer.program(calltree.parse(WAYS), trace=True)
    program.write(made.files, tmp_path)
    program.build(toolchain, tmp_path)
    ran = program.run(tmp_path, 30)
    assert ran.stdout == "passed\n", ran.stderr
    assert visits.difference(made.visits, ran.stderr) == ""
    # The main thread, three in a loop, one of Go's, two that start at once.
    assert len(made.visits) == 7
    assert len(visits.seen(ran.stderr)) == 7


def test_a_program_tells_its_way_only_where_it_is_asked() -> None:
    made = reproducer.program(calltree.parse(WAYS))
    assert made.visits == ()
    assert "visit" not in made.files["main.c"] + made.files["lib/lib.go"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1 go1", "1 c2", "2 thread3", "2 go4"], ""),
        (["2 thread3", "1 go1", "2 go4", "1 c2"], ""),
        (["1 go1", "2 thread3", "2 go4"], "a thread visits after go1 nothing instead of c2"),
        (["1 go1", "1 c2", "2 go4", "2 thread3"], "a thread visits go4 instead of thread3"),
        (
            ["1 go1", "1 c2", "1 c2", "2 thread3", "2 go4"],
            "a thread visits after go1 c2 c2 instead of nothing",
        ),
        (["1 go1", "1 c2", "2 thread3", "2 go4", "3 c2"], "a thread more visits c2"),
    ],
)
def test_a_way_that_is_not_the_scripts_is_told(lines: list[str], said: str) -> None:
    stderr = "fatal error: x\n" + "".join(f"visits {line}\n" for line in lines)
    assert visits.difference([("go1", "c2"), ("thread3", "go4")], stderr) == said
    assert visits.without(stderr) == "fatal error: x\n"


def test_a_thread_looks_at_its_mask_where_the_fault_is_one_of_masks() -> None:
    case = calltree.parse("Case(C(Thread(Go()), Thread(C())), blocked='SIGPROF')")
    text = reproducer.program(case, {"mask"}).files["main.c"]
    assert text.count("\tlook_at_the_mask();\n\treturn arg;") == 2
    assert "look_at_the_mask" not in reproducer.program(case).files["main.c"]


def test_a_neighbour_has_a_callback_or_a_foreign_stack_elsewhere() -> None:
    case = calltree.parse("Case(Stack(Go(Go(Panic()), recover=True), region=4))")
    neighbours = list(reproduce._neighbours(case))
    assert calltree.parse("Case(Stack(Go(Go(Panic()), recover=True), region=-1))") in neighbours
    assert (
        calltree.parse("Case(Stack(Go(Stack(Go(Panic()), region=3), recover=True), region=4))") in neighbours
    )
    assert case not in neighbours
    assert len(set(neighbours)) == len(neighbours)


def test_a_leak_of_the_count_is_reproduced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """golib-7, built and run."""
    assert commands.main(["reproduce", "golib-7", "--go=1.27.4", f"--out={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("reproduced on go1.27.4: wrong: "), said
    assert "goroutines are said to be in C" in said


def test_samples_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert samples.main([]) == 2
    assert capsys.readouterr().err.startswith("nothing to sample: give --deaths")
    assert samples.main(["--deaths=-1"]) == 2


def test_a_drawn_case_that_passes_is_sampled(capsys: pytest.CaptureFixture[str]) -> None:
    assert samples.main(["--passing=1"]) == 0
    assert "1 that pass: 1 as programs (100 %)" in capsys.readouterr().out
