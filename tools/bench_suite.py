"""python -m tools bench --suite: how fast golib comes to its verdicts, against what cannot be avoided.

In interleaved rounds, each of them with the same toolchain on the same machine:

    floor       a C program: fork, dlopen, one call into Go, _exit, and nothing else
    alone       a case in a child of its own: the verdict that counts
    in a row    many cases one after the other in one child: searching
    fresh       a Python interpreter started for one case

alone and in a row also with cases that the fuzzer draws, and drawing them is timed apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import golib
from golib import C, Case, Go, door, fuzz
from golib.judge.outcome import Kind, Outcome
from golib.toolchains.build import Library
from tools.base import ROOT, Stop, console, write_json
from tools.bench_base import Spread, compile_floor, machine, ratio, short

SCHEMA = 1

ROUNDS = 7
CASE = Case(Go(C(Go(), stack=40_000)))
"""The seed's deep stack: Go, a C frame of 40,000 bytes, Go."""
FORKS = 40
"""Children of the floor, and cases alone, in a round."""
FRESH = 3
"""Interpreters in a round."""
DRAWN = 400
"""Cases to draw; those of the world that most of them share are run, a fifth or so."""

XDIST_ROUNDS = 3
FUZZER = "tests/runtime/test_fuzz.py"
SHARDS = 16
"""golib.options.SHARDS, which imports pytest."""

GOALS = (
    ("alone", "floor", "at most", 1.5),
    ("alone", "in a row", "at least", 10.0),
)
"""Times as long as, and what is wanted of it."""

_FRESH = """
import json, sys
import golib
from golib.toolchains.build import Library
library = Library.from_json(json.loads(sys.argv[1]))
sys.exit(golib.open(library).run(golib.Case.from_json(json.loads(sys.argv[2]))).kind.value != "passed")
"""


@dataclass
class Measure:
    """One way to a verdict."""

    name: str
    text: str
    run: Callable[[], int]
    """Does it, and says how many verdicts it came to."""
    ms: list[float] = field(default_factory=list)
    """A verdict, round by round."""


def run(library: Library, json_path: Path | None, xdist: int | None) -> int:
    """Measures and prints. xdist: also compares pytest -n 2 with -n 1, with so many cases a shard.

    Raises Stop when something cannot be measured.
    """
    out = console()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="golib-bench-") as folder:
        ways = measures(library, compile_floor("forks", Path(folder)))
        for measure in ways:
            measure.run()  # the warm-up: servers start, files come into the cache
        for _ in range(ROUNDS):
            for measure in ways:
                begin = time.perf_counter()
                verdicts = measure.run()
                measure.ms.append((time.perf_counter() - begin) * 1000 / verdicts)
    cases = xdist_rates(library, xdist) if xdist else {}
    write_json(json_path, to_json(library, ways, load, cases))
    show(out, library, ways, load, cases)
    return 0


def measures(
    library: Library,
    program: Path,
    *,
    forks: int = FORKS,
    row: int = fuzz.ROW,
    fresh: int = FRESH,
    drawn: int = DRAWN,
) -> list[Measure]:
    """program: the floor's, compiled. The numbers are those of a round. Raises Stop."""
    subject = golib.open(library)
    drawn_cases = fuzz.generate(drawn, "bench", library.toolchain.version)
    plain = [case for case in drawn_cases if door.setting(case) == door.setting(CASE)][:row]
    # A case that kills its child would make it a measure of dying.
    plain = [case for case in plain if subject.run(case).kind is Kind.PASSED]
    if not plain:
        raise Stop("the fuzzer drew no plain case that passes; raise tools.bench_suite.DRAWN")
    number = 0

    def run_floor() -> int:
        done = subprocess.run(
            [str(program), str(library.path), str(forks)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Stop(f"the floor's program failed: {done.stderr.strip()}; see tools/floor/forks.c")
        return forks

    def run_fresh() -> int:
        arguments = [json.dumps(library.to_json()), json.dumps(CASE.to_json())]
        for _ in range(fresh):
            if subprocess.run([sys.executable, "-c", _FRESH, *arguments], cwd=ROOT, check=False).returncode:
                raise Stop(
                    f"{CASE!r} did not pass with {library.toolchain.name}; name a release that is well"
                )
        return fresh

    def run_drawing() -> int:
        nonlocal number
        number += 1
        return len(fuzz.generate(50, f"bench {number}"))

    def run_alone(cases: Sequence[Case]) -> int:
        for case in cases:
            judged(subject.run(case), case)
        return len(cases)

    def run_row(cases: Sequence[Case]) -> int:
        for case, outcome in zip(cases, subject.run_in_a_row(cases), strict=True):
            judged(outcome, case)
        return len(cases)

    return [
        Measure("floor", "floor: C, fork + dlopen + call + _exit", run_floor),
        Measure("alone", "alone in a child", lambda: run_alone([CASE] * forks)),
        Measure("in a row", f"in a row of {row}", lambda: run_row([CASE] * row)),
        Measure("fresh", "in a fresh interpreter", run_fresh),
        Measure("drawn alone", "drawn cases, alone", lambda: run_alone(plain)),
        Measure("drawn in a row", f"drawn cases, in a row of {len(plain)}", lambda: run_row(plain)),
        Measure("drawing", "a case is drawn", run_drawing),
    ]


def judged(outcome: Outcome, case: Case) -> None:
    """A harness fault is no verdict; whatever else a drawn case came to is. Raises Stop."""
    if outcome.kind is Kind.HARNESS:
        raise Stop(f"{case!r} came to no verdict: {outcome.headline}; mend that first")


def xdist_rates(library: Library, fuzz_cases: int) -> dict[int, list[float]]:
    """Fuzz cases a second with one worker and with two, round by round. Raises Stop."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    goroot = str(library.toolchain.goroot)
    # What it finds is not to be looked at first the next time.
    with tempfile.TemporaryDirectory(prefix="golib-bench-") as folder:
        for number in range(XDIST_ROUNDS):
            for workers, own in rates.items():
                command = [sys.executable, "-m", "pytest", FUZZER, "-q", "-n", str(workers), "--go", goroot]
                command += ["--golib-fuzz", str(fuzz_cases), "-p", "no:cacheprovider"]
                command += ["--golib-failures", str(Path(folder) / f"{number}-{workers}")]
                begin = time.perf_counter()
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
                seconds = time.perf_counter() - begin
                if done.returncode not in (0, 1):  # 1: it found something, which does not matter here
                    last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
                    raise Stop(f"pytest -n {workers} ended with {done.returncode}: {last}; mend that first")
                own.append(SHARDS * fuzz_cases / seconds)
    return rates


def times_as_long(measures: Sequence[Measure], a: str, b: str) -> Spread:
    """a's time through b's, round by round."""
    by_name = {measure.name: measure for measure in measures}
    pairs = zip(by_name[a].ms, by_name[b].ms, strict=True)
    return Spread.of([one / other for one, other in pairs])


def to_json(
    library: Library, measures: Sequence[Measure], load: float, xdist: dict[int, list[float]]
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": machine(),
        "toolchain": library.toolchain.version,
        "case": CASE.to_json(),
        "rounds": ROUNDS,
        "load_before": load,
        "measures": [
            {"name": one.name, "ms": Spread.of(one.ms).to_json(), "samples": one.ms} for one in measures
        ],
        "ratios": [
            {
                "a": a,
                "b": b,
                "a_over_b": times_as_long(measures, a, b).to_json(),
                "goal": f"{bound} {goal:g}",
            }
            for a, b, bound, goal in GOALS
        ],
    }
    if xdist:
        document["cases_per_second"] = {f"-n {workers}": rates for workers, rates in xdist.items()}
    return document


def show(
    out: Any, library: Library, measures: Sequence[Measure], load: float, xdist: dict[int, list[float]]
) -> None:
    """The table for people, on rich's console."""
    from rich.table import Table

    here = machine()
    title = f"{library.toolchain.name}, {CASE!r}; {here['cpu']}, Python {here['python']}; "
    title += f"load {load:.1f} before; {ROUNDS} rounds, median (quartiles)"
    sheet = Table("", title=title, title_justify="left")
    for column in ("ms", "", "a second", "x floor"):
        sheet.add_column(column, justify="right")
    for measure in measures:
        ms = Spread.of(measure.ms)
        spread = f"({short(ms.low)}-{short(ms.high)})"
        over = ratio(times_as_long(measures, measure.name, "floor"))
        sheet.add_row(measure.text, short(ms.median), spread, short(1000 / ms.median), over)
    out.print(sheet)
    lines = [
        f"{a} takes {ratio(times_as_long(measures, a, b))} of {b}'s time; the goal is {bound} {goal:g}x"
        for a, b, bound, goal in GOALS
    ]
    if xdist:
        one, two = (Spread.of(rates) for rates in xdist.values())
        more = Spread.of([b / a for a, b in zip(*xdist.values(), strict=True)])
        lines.append(
            f"pytest -n 2 runs {ratio(more)} the fuzz cases a second of -n 1 "
            f"({short(two.median)} and {short(one.median)}); the goal is at least 1.7x"
        )
    for line in lines:
        out.print(line, markup=False, highlight=False)
