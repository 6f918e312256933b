"""python -m tools bench: what a call from C into Go costs, on which thread, in which release.

    toolchain x shape x round ──> a lean process of its own (tools/bench_child.py) ──> calls, ns, queries

A shape is where the loop that calls Go's empty function runs. The rounds go through all toolchains for one
shape before the next (A B A B): what disturbs the machine disturbs them alike, and each ratio is of two
neighbours in time. The table is for people; --out writes Go's benchmark format, a file a toolchain, which
benchstat (golang.org/x/perf/cmd/benchstat) compares as they are.

With --suite: how fast golib itself comes to its verdicts, see tools/bench_suite.py.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golib.toolchains import build
from golib.toolchains.build import Library
from golib.toolchains.toolchain import SpecError, Toolchain, check_platform, resolve
from tools import bench_suite
from tools.base import Parser, Stop, console, writable, write_json
from tools.bench_base import Spread, clean_environment, compile_floor, cpus, machine, ratio, short
from tools.bench_child import NO_ROOM

SCHEMA = 1

ROUNDS = 8
"""Of a measurement. benchstat wants 6 at least for its confidence intervals."""
GOAL_NS = 20_000_000
"""How long a loop is to take: 20 ms are long against an interrupt, and 200 calls at 100 µs each."""
LOOP_SECONDS = 3600
"""For one process: 10 million calls at 360 µs each."""
STARTS = 5
"""Of a process, until the kernel leaves room for foreign stacks, which it does not once in some hundred."""
BAR = 32
"""Characters of the longest bar."""


@dataclass(frozen=True)
class Shape:
    """Where the loop runs."""

    benchmark: str
    """Its name in Go's benchmark format, after Benchmark."""
    text: str
    floor: str = ""
    """The shape that does the same with one thing less."""


SHAPES = {
    "main-thread": Shape("CgoCallbackMainThread", "main thread", "without-python"),
    "python-thread": Shape("CgoCallbackPythonThread", "Python thread"),
    "native-thread": Shape("CgoCallbackNativeThread", "native thread"),
    "go-thread": Shape("CgoCallbackGoThread", "Go-made thread"),
    "foreign-stack": Shape("CgoCallbackForeignStack", "main thread, foreign stack", "without-python"),
    "below-go": Shape("CgoCallbackBelowGo", "main thread, below a Go frame", "without-python"),
    "hidden-bounds": Shape("CgoCallbackHiddenBounds", "main thread, bounds hidden"),
    "through-python": Shape("CgoCallbackThroughPython", "C calls Python calls Go", "empty-c-from-python"),
    "from-python": Shape("CgoCallbackFromPython", "loop in Python, ctypes", "empty-c-from-python"),
    "empty-c-from-python": Shape("EmptyCFromPython", "floor: empty C function, ctypes"),
    "without-python": Shape("CgoCallbackWithoutPython", "floor: C program, no Python"),
}
"""The loop is in C where nothing else is said, and in a Python process: the seed's main10."""


@dataclass(frozen=True)
class Sample:
    """What one loop came to."""

    calls: int
    ns: int
    """Of all calls together."""
    queries: int
    """Of pthread_getattr_np by the thread of the loop, meanwhile."""
    maps: int
    """Mappings of the process."""

    @property
    def ns_per_call(self) -> float:
        return self.ns / self.calls

    @property
    def queries_per_call(self) -> float:
        return self.queries / self.calls


@dataclass
class Series:
    """One shape with one toolchain, round by round."""

    shape: str
    toolchain: str
    samples: list[Sample] = field(default_factory=list)
    died: str = ""
    """How a process of it ended that should not have; it is not tried again."""

    @property
    def ns(self) -> Spread:
        """Nanoseconds a call."""
        return Spread.of([sample.ns_per_call for sample in self.samples])

    @property
    def queries(self) -> Spread:
        """Queries a call."""
        return Spread.of([sample.queries_per_call for sample in self.samples])

    @property
    def maps(self) -> Spread:
        return Spread.of([sample.maps for sample in self.samples])


def main(argv: Sequence[str]) -> int:
    """0, or 2 when nothing was measured: bad options, or a toolchain that cannot be had."""
    options = _parser().parse_args(argv)
    try:
        check_platform()
        writable("--json", options.json)
        if options.suite:
            return bench_suite.run(_library(options.go), options.json, options.xdist)
        if options.xdist:
            raise Stop(f"--xdist {options.xdist} is a part of --suite; add --suite")
        return _bench(options)
    except (Stop, SpecError, build.BuildError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = Parser("bench", __doc__)
    parser.add_argument(
        "--go", action="append", default=[], metavar="SPEC", help="a Go to measure, as for pytest; repeatable"
    )
    parser.add_argument(
        "--shape",
        action="append",
        type=_shape,
        default=[],
        metavar="NAME",
        help=f"measure these only: {', '.join(SHAPES)}; repeatable",
    )
    parser.add_argument(
        "--count",
        type=_from_one,
        default=0,
        metavar="N",
        help=f"calls of each loop (default: as many as take {GOAL_NS // 1_000_000} ms)",
    )
    parser.add_argument(
        "--rounds",
        type=_from_one,
        default=ROUNDS,
        metavar="N",
        help=f"measure each so often (default: {ROUNDS})",
    )
    parser.add_argument(
        "--maps", type=_from_zero, default=0, metavar="N", help="add N mappings to each process"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write it in Go's benchmark format there, with several toolchains to FILE-NAME each",
    )
    parser.add_argument(
        "--suite", action="store_true", help="measure how fast golib itself comes to verdicts instead"
    )
    parser.add_argument(
        "--xdist",
        type=_from_one,
        metavar="N",
        help="with --suite: compare pytest -n 2 with -n 1, with N fuzz cases a shard",
    )
    return parser


def _shape(text: str) -> str:
    if text not in SHAPES:
        raise argparse.ArgumentTypeError(f"{text!r} is no shape; name one of {', '.join(SHAPES)}")
    return text


def _from_one(text: str) -> int:
    return _number(text, 1)


def _from_zero(text: str) -> int:
    return _number(text, 0)


def _number(text: str, least: int) -> int:
    # No more digits than anyone waits for.
    if not text.isdecimal() or len(text) > 9 or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to 999999999; give one")
    return int(text)


def _library(specs: Sequence[str]) -> Library:
    """For --suite, which takes one toolchain. Raises Stop, SpecError, BuildError."""
    toolchains, _ = resolve(specs)
    if len(toolchains) > 1:
        raise Stop(f"--suite measures one toolchain, and --go names {len(toolchains)}; name one")
    return build.build(toolchains[0], progress=_progress)


def _progress(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _bench(options: argparse.Namespace) -> int:
    toolchains, unavailable = resolve(options.go)
    for member in unavailable:
        _progress(f"{member.version} is not available: {member.why}")
    names = named(toolchains)
    outs = out_paths(options.out, list(names)) if options.out is not None else {}
    for path in outs.values():
        writable("--out", path)
    out = console()
    load = os.getloadavg()[0]
    libraries = {name: build.build(one, progress=_progress) for name, one in names.items()}
    shapes = list(dict.fromkeys(options.shape or SHAPES))
    table: dict[tuple[str, str], Series] = {}
    with tempfile.TemporaryDirectory(prefix="golib-bench-") as folder:
        runner = Runner(Path(folder), options.count, options.maps)
        for number, shape, name in schedule(options.rounds, shapes, list(names)):
            if sys.stderr.isatty():
                print(
                    f"\rround {number} of {options.rounds}: {shape:<20} {name:<20}", end="", file=sys.stderr
                )
            series = table.setdefault((shape, name), Series(shape, name))
            if not series.died:
                runner.run(series, libraries[name])
        if sys.stderr.isatty():
            print("\r" + 70 * " ", end="\r", file=sys.stderr)
    here = machine()
    measured = list(table.values())
    for name, path in outs.items():
        own = [series for series in measured if series.toolchain == name]
        path.write_text(to_text(here, names[name], options.maps, load, own), encoding="utf-8")
    write_json(options.json, to_json(here, names, options.rounds, options.maps, load, measured))
    show(out, here, options, load, measured)
    for path in outs.values():
        out.print(f"written: {path}", markup=False, highlight=False)
    return 0


def named(toolchains: Sequence[Toolchain]) -> dict[str, Toolchain]:
    """The toolchains by name; a GOROOT may call itself what a release is called."""
    names: dict[str, Toolchain] = {}
    for toolchain in toolchains:
        same = sum(other.name == toolchain.name for other in names.values())
        names[f"{toolchain.name}@{same + 1}" if same else toolchain.name] = toolchain
    return names


def out_paths(path: Path, names: Sequence[str]) -> dict[str, Path]:
    """Where each toolchain's text goes. benchstat compares files, and would not compare two toolchains
    that differ in a line of the header."""
    if len(names) == 1:
        return {names[0]: path}
    return {name: path.with_name(f"{path.stem}-{name}{path.suffix}") for name in names}


def schedule(rounds: int, shapes: Sequence[str], toolchains: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """(round, shape, toolchain), in the order in which they are measured."""
    return itertools.product(range(1, rounds + 1), shapes, toolchains)


class Runner:
    """Starts the processes that measure."""

    def __init__(self, folder: Path, calls: int, more_maps: int) -> None:
        """folder: for what is compiled. calls 0: as many as take GOAL_NS."""
        self._folder = folder
        self._calls = str(calls)
        self._more_maps = str(more_maps)

    def run(self, series: Series, library: Library) -> None:
        """Adds a sample to the series, or how its process died. Raises Stop when none can be started."""
        arguments = [self._calls, str(GOAL_NS), self._more_maps]
        if series.shape == "without-python":
            program = self._folder / "call"
            if not program.exists():
                compile_floor(program.name, self._folder)
            command = [str(program), str(library.path), *arguments]
        else:
            # -S: no site-packages, and few imports: the process stays small.
            command = [sys.executable, "-S", "-m", "tools.bench_child", str(library.path), series.shape]
            command += arguments
        for _ in range(STARTS):
            done = self._start(command)
            if done.returncode != NO_ROOM:
                break
        if done.returncode != 0:
            series.died = died(done)
        elif series.shape == "without-python":
            series.samples.append(Sample(*map(int, done.stdout.split())))
        else:
            series.samples.append(Sample(**json.loads(done.stdout)))

    def _start(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=LOOP_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Stop(f"a loop took more than {LOOP_SECONDS} s; give a smaller --count") from error


def died(done: subprocess.CompletedProcess[str]) -> str:
    """How a process ended, and its most telling line."""
    lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
    telling = [line for line in lines if line.startswith(("fatal", "panic"))] or lines[-1:]
    ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
    return f"{ended}: {telling[0]}"


# What comes out.


def to_text(
    here: dict[str, str], toolchain: Toolchain, more_maps: int, load: float, measured: Sequence[Series]
) -> str:
    """Go's benchmark format (golang.org/design/14313-benchmark-format).

    What stands after # is no configuration to benchstat: it compares only what has the same one.
    """
    lines = [f"# toolchain: {toolchain.version}", f"# mappings added: {more_maps}"]
    lines += [f"# load average before: {load:.2f}"]
    lines += [f"{key}: {value}" for key, value in here.items()]
    lines += ["pkg: golib/bridge"]
    suffix = f"-{cpus()}" if cpus() > 1 else ""
    for series in measured:
        name = f"Benchmark{SHAPES[series.shape].benchmark}{suffix}"
        if series.died:
            lines.append(f"# {name}: {series.died}")
        lines += [
            f"{name}\t{sample.calls}\t{sample.ns_per_call:.5g} ns/op"
            f"\t{sample.queries_per_call:.6g} queries/op\t{sample.maps} maps"
            for sample in series.samples
        ]
    return "\n".join(lines) + "\n"


def ratios(measured: Sequence[Series]) -> list[tuple[str, str, str, Spread]]:
    """(shape, A, B, A's time through B's) for each pair of toolchains, round by round."""
    found = []
    for a, b in itertools.combinations(measured, 2):
        if a.shape == b.shape and a.samples and b.samples:
            pairs = zip(a.samples, b.samples, strict=False)
            spread = Spread.of([one.ns_per_call / other.ns_per_call for one, other in pairs])
            found.append((a.shape, a.toolchain, b.toolchain, spread))
    return found


def to_json(
    here: dict[str, str],
    names: dict[str, Toolchain],
    rounds: int,
    more_maps: int,
    load: float,
    measured: Sequence[Series],
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "machine": here,
        "rounds": rounds,
        "maps_added": more_maps,
        "load_before": load,
        "toolchains": [
            {"name": name, "spec": one.spec, "version": one.version} for name, one in names.items()
        ],
        "measurements": [_measurement(series) for series in measured],
        "ratios": [
            {"shape": shape, "a": a, "b": b, "a_over_b": spread.to_json()}
            for shape, a, b, spread in ratios(measured)
        ],
    }


def _measurement(series: Series) -> dict[str, Any]:
    data: dict[str, Any] = {
        "shape": series.shape,
        "toolchain": series.toolchain,
        "died": series.died or None,
        "samples": [vars(sample) for sample in series.samples],
    }
    if series.samples:
        data["ns_per_call"] = series.ns.to_json()
        data["queries_per_call"] = series.queries.to_json()
        data["maps"] = series.maps.to_json()
    return data


def show(
    out: Any, here: dict[str, str], options: argparse.Namespace, load: float, measured: Sequence[Series]
) -> None:
    """The tables for people, on rich's console."""
    from rich.table import Table
    from rich.text import Text

    by_key = {(series.shape, series.toolchain): series for series in measured}
    medians = [series.ns.median for series in measured if series.samples]
    title = f"{here['cpu']}, {cpus()} CPUs, Linux {here['kernel']}, Python {here['python']}"
    title += f", load {load:.1f} before; {options.rounds} rounds, median (quartiles), bars logarithmic"
    sheet = Table(title=title, title_justify="left")
    for column in ("shape", "toolchain", "ns/call", "", "queries/call", "maps", "x floor", ""):
        sheet.add_column(column, justify="left" if column in ("shape", "toolchain", "") else "right")
    before = ""
    for series in measured:
        shape = SHAPES[series.shape]
        if before and series.shape != before:
            sheet.add_section()
        cells = [shape.text if series.shape != before else "", series.toolchain]
        before = series.shape
        if not series.samples:
            cells += ["died", series.died]
        else:
            ns = series.ns
            floor = by_key.get((shape.floor, series.toolchain))
            over = short(ns.median / floor.ns.median) if floor is not None and floor.samples else ""
            cells += [short(ns.median), f"({short(ns.low)}-{short(ns.high)})"]
            cells += [f"{series.queries.median:g}", f"{series.maps.median:g}", over]
            cells += [bar(ns.median, min(medians), max(medians))]
        sheet.add_row(*map(Text, cells))
    out.print(sheet)
    pairs = list(dict.fromkeys((a, b) for _, a, b, _ in ratios(measured)))
    if not pairs:
        return
    sheet = Table("times as long as", title="a call, pair by pair", title_justify="left")
    for a, b in pairs:
        sheet.add_column(f"{a.removeprefix('go')} : {b.removeprefix('go')}", justify="right")
    cells_of = {(shape, a, b): ratio(spread) for shape, a, b, spread in ratios(measured)}
    for name in dict.fromkeys(series.shape for series in measured):
        sheet.add_row(SHAPES[name].text, *(cells_of.get((name, a, b), "") for a, b in pairs))
    out.print(sheet)


def bar(value: float, least: float, most: float) -> str:
    """One cell for the least, BAR for the most, logarithmic between."""
    part = math.log(value / least) / math.log(most / least) if most > least else 0
    return "█" * (1 + round(part * (BAR - 1)))
