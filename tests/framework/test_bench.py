"""The bench tool: what it counts, in which order it measures, what it writes. No time here is a verdict."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from golib.case.calltree import Case, Go
from golib.door import Subject
from golib.judge.outcome import Kind, Outcome, Signature
from golib.toolchains.build import Library, build
from golib.toolchains.toolchain import SpecError, Toolchain, resolve
from tools import bench, bench_suite
from tools.__main__ import main as dispatch
from tools.base import Stop
from tools.bench import SHAPES, Runner, Sample, Series
from tools.bench_base import Spread, compile_floor, ratio, short
from tools.bench_child import TREES
from tools.bench_suite import Measure

CALLS = 200

# golang.org/design/14313-benchmark-format, and no more than this tool writes of it.
LINE = re.compile(
    r"# [^\n]+"
    r"|[a-z]+: \S[^\n]*"
    r"|Benchmark[A-Z]\w*(-\d+)?\t[1-9]\d*\t\d[\d.e+]* ns/op\t\d+(\.\d+)? queries/op\t[1-9]\d* maps"
)

ASKING = {"foreign-stack", "hidden-bounds"}
"""Shapes in which the runtime knows no bounds that contain SP, and asks at each call in every release."""


@pytest.fixture(scope="session")
def library(subject: Subject) -> Library:
    return subject.library


@pytest.fixture(scope="session")
def before_the_change(testrun_uid: str) -> Library:
    """The bridge of a release that asks at each call (go#68587)."""
    try:
        return build(resolve(["1.23.4"])[0][0], session=testrun_uid)
    except SpecError as error:
        pytest.skip(f"Go 1.23.4 cannot be had here: {error}")


def measured(library: Library, shape: str, folder: Path, *, maps: int = 0) -> Sample:
    series = Series(shape, library.toolchain.name)
    Runner(folder, CALLS, maps).run(series, library)
    assert not series.died
    (sample,) = series.samples
    return sample


def series_of(shape: str, toolchain: str, *ns: int) -> Series:
    return Series(shape, toolchain, [Sample(10, value, 10, 60) for value in ns])


# What is counted.


def test_each_shape_has_its_tree_or_its_loop() -> None:
    assert set(SHAPES) - set(TREES) == {"from-python", "empty-c-from-python", "without-python"}
    assert set(TREES) <= set(SHAPES)
    assert {shape.floor for shape in SHAPES.values()} - {""} <= set(SHAPES)
    assert len({shape.benchmark for shape in SHAPES.values()}) == len(SHAPES)


@pytest.mark.parametrize("shape", SHAPES)
def test_queries_of_a_release_that_keeps_bounds(library: Library, shape: str, tmp_path: Path) -> None:
    sample = measured(library, shape, tmp_path)
    assert (sample.calls, sample.queries) == (CALLS, CALLS if shape in ASKING else 0)


@pytest.mark.parametrize("shape", ["main-thread", "from-python", "without-python", "native-thread"])
def test_queries_of_a_release_that_does_not(before_the_change: Library, shape: str, tmp_path: Path) -> None:
    sample = measured(before_the_change, shape, tmp_path)
    assert (sample.calls, sample.queries) == (CALLS, CALLS)


@pytest.mark.parametrize("shape", ["main-thread", "without-python"])
def test_mappings_are_added(library: Library, shape: str, tmp_path: Path) -> None:
    # Go's own threads may have been started or not: some ten mappings.
    more = measured(library, shape, tmp_path, maps=500).maps - measured(library, shape, tmp_path).maps
    assert 450 < more < 550


def test_without_a_count_the_loop_takes_its_time(library: Library, tmp_path: Path) -> None:
    series = Series("main-thread", "go")
    Runner(tmp_path, 0, 0).run(series, library)
    assert series.samples[0].ns >= bench.GOAL_NS
    assert series.samples[0].calls.bit_count() == 1, "it doubles the number of calls"


def test_a_process_that_dies_is_told(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "no.so"
    path.write_text("no library")
    series = Series("main-thread", "go")
    Runner(tmp_path, CALLS, 0).run(series, Library(library.toolchain, path, library.layout, "real"))
    assert not series.samples
    assert series.died.startswith("exit status 1: OSError: ")


@pytest.mark.parametrize(
    ("status", "stderr", "told"),
    [
        (
            -6,
            "x\nfatal error: stack split at bad time\n\ngoroutine 1",
            "fatal error: stack split at bad time",
        ),
        (2, "a\nb\n", "b"),
        (-11, "", "it said nothing"),
    ],
)
def test_the_telling_line_of_a_death(status: int, stderr: str, told: str) -> None:
    ended = f"signal {-status}" if status < 0 else f"exit status {status}"
    assert bench.died(subprocess.CompletedProcess([], status, "", stderr)) == f"{ended}: {told}"


# The order.


def test_toolchains_are_interleaved(
    monkeypatch: pytest.MonkeyPatch, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    toolchains = [Toolchain(name, name, Path(name)) for name in ("1.1.1", "2.2.2")]
    order = []

    def run(self: Runner, series: Series, library: Library) -> None:
        order.append((series.shape, series.toolchain))
        series.samples.append(Sample(1, 1, 0, 1))

    monkeypatch.setattr(bench, "resolve", lambda specs: (toolchains, []))
    monkeypatch.setattr(bench.build, "build", lambda toolchain, progress: library)
    monkeypatch.setattr(Runner, "run", run)
    assert bench.main(["--shape", "go-thread", "--shape", "below-go", "--rounds", "2"]) == 0
    a, b = "go1.1.1", "go2.2.2"
    a_round = [("go-thread", a), ("go-thread", b), ("below-go", a), ("below-go", b)]
    assert order == a_round * 2
    assert "1.1.1 : 2.2.2" in capsys.readouterr().out


def test_what_has_died_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
    library: Library,
    go_on_path: Toolchain,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tried = []

    def run(self: Runner, series: Series, library: Library) -> None:
        tried.append(series.shape)
        series.died = "signal 6: fatal error: dead"

    monkeypatch.setattr(bench.build, "build", lambda toolchain, progress: library)
    monkeypatch.setattr(Runner, "run", run)
    assert bench.main(["--shape", "go-thread", "--rounds", "3"]) == 0
    assert tried == ["go-thread"]
    assert "fatal error: dead" in capsys.readouterr().out


# What comes out.


def test_json_and_text_of_a_run(
    go_on_path: Toolchain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json_path, out = tmp_path / "result.json", tmp_path / "result.txt"
    argv = ["bench", "--go", str(go_on_path.goroot), "--shape", "main-thread", "--shape", "from-python"]
    argv += ["--count", str(CALLS), "--rounds", "2", "--json", str(json_path), "--out", str(out)]
    assert dispatch(argv) == 0
    shown = capsys.readouterr().out
    assert "queries/call" in shown
    assert "█" in shown
    lines = out.read_text().splitlines()
    assert not [line for line in lines if not LINE.fullmatch(line)]
    names = [line.split("\t")[0].partition("-")[0] for line in lines if line.startswith("Benchmark")]
    assert names == ["BenchmarkCgoCallbackMainThread"] * 2 + ["BenchmarkCgoCallbackFromPython"] * 2
    assert {line.partition(":")[0] for line in lines if line[0].islower()} == {
        *("goos", "goarch", "cpu", "kernel", "glibc", "python", "pkg")
    }
    assert f"# toolchain: {go_on_path.version}" in lines
    document = json.loads(json_path.read_text())
    assert set(document) == {
        *("schema", "machine", "rounds", "maps_added", "load_before", "toolchains", "measurements", "ratios")
    }
    assert (document["schema"], document["rounds"], document["maps_added"]) == (1, 2, 0)
    assert [one["version"] for one in document["toolchains"]] == [go_on_path.version]
    for measurement in document["measurements"]:
        assert measurement["died"] is None
        assert measurement["queries_per_call"] == {"median": 0, "low": 0, "high": 0}
        assert set(measurement["ns_per_call"]) == {"median", "low", "high"}
        assert [set(sample) for sample in measurement["samples"]] == [{"calls", "ns", "queries", "maps"}] * 2


def test_a_death_stands_in_the_text_as_a_remark(go_on_path: Toolchain) -> None:
    text = bench.to_text(
        {"goos": "linux"}, go_on_path, 7, 0.5, [Series("go-thread", "go", [], "signal 6: dead")]
    )
    assert all(LINE.fullmatch(line) for line in text.splitlines())
    assert re.search(r"^# BenchmarkCgoCallbackGoThread(-\d+)?: signal 6: dead$", text, re.MULTILINE)
    assert "# mappings added: 7\n" in text


def test_each_of_several_toolchains_has_a_file_of_its_own() -> None:
    path = Path("a") / "result.txt"
    assert bench.out_paths(path, ["go1.23.4"]) == {"go1.23.4": path}
    several = bench.out_paths(path, ["go1.23.4", "go1.23.5"])
    assert [str(one) for one in several.values()] == ["a/result-go1.23.4.txt", "a/result-go1.23.5.txt"]


def test_two_goroots_of_one_name_are_told_apart() -> None:
    same = [Toolchain(spec, "1.23.4", Path(spec)) for spec in ("one", "other")]
    assert list(bench.named(same)) == ["go1.23.4", "go1.23.4@2"]


def test_ratios_are_of_the_same_round_and_shape() -> None:
    a, b = series_of("main-thread", "a", 100, 400, 1000), series_of("main-thread", "b", 10, 20, 10)
    other, dead = series_of("go-thread", "a", 1), Series("main-thread", "c", died="signal 6")
    assert bench.ratios([a, b, other, dead]) == [("main-thread", "a", "b", Spread(20, 15, 60))]


def test_a_bar_is_logarithmic() -> None:
    lengths = [len(bench.bar(value, 1, 10_000)) for value in (1, 100, 10_000)]
    assert lengths == [1, 1 + round((bench.BAR - 1) / 2), bench.BAR]
    assert len(bench.bar(5, 5, 5)) == 1


def test_numbers_for_people() -> None:
    assert [short(number) for number in (0.01234, 1.5, 99.94, 75_800.4)] == [
        "0.0123",
        "1.5",
        "99.9",
        "75,800",
    ]
    assert ratio(Spread(612.3, 590, 640)) == "612x (590-640)"
    assert Spread.of([7]) == Spread(7, 7, 7)


# What is refused.


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--count", "0"], "argument --count: '0' is no number from 1 to 999999999; give one"),
        (["--count", "-1"], "argument --count: '-1' is no number from 1"),
        (["--count", "many"], "argument --count: 'many' is no number from 1"),
        (["--count", "1" * 10], "argument --count: '1111111111' is no number from 1"),
        (["--rounds", "0"], "argument --rounds: '0' is no number from 1"),
        (["--maps", "1.5"], "argument --maps: '1.5' is no number from 0"),
        (["--shape", "moebius"], "argument --shape: 'moebius' is no shape; name one of main-thread, "),
        (["--speed"], "unrecognized arguments: --speed"),
    ],
)
def test_a_bad_option_is_told_in_one_sentence(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        dispatch(["bench", *argv])
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.err.startswith(said)
    assert told.err.count("\n") == 1
    assert not told.out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--go", "9.99.9"], "9.99.9: "),
        (["--go", "never heard of"], "never heard of: "),
        (["--json", "/nowhere/result.json"], "--json /nowhere/result.json: cannot be written: "),
        (["--out", "/nowhere/result.txt"], "--out /nowhere/result.txt: cannot be written: "),
    ],
)
def test_what_cannot_be_had_is_told_in_one_sentence(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch(["bench", *argv]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(said)
    assert told.err.count("\n") == 1
    assert not told.out


# The suite's own speed.


def test_suite_takes_one_toolchain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], go_on_path: Toolchain
) -> None:
    monkeypatch.setattr(bench, "resolve", lambda specs: ([go_on_path] * 2, []))
    assert bench.main(["--suite", "--go", "a", "--go", "b"]) == 2
    assert capsys.readouterr().err == "--suite measures one toolchain, and --go names 2; name one\n"


def test_xdist_needs_suite(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--xdist", "10"]) == 2
    assert capsys.readouterr().err == "--xdist 10 is a part of --suite; add --suite\n"


def test_suite_measures_each_way_and_judges_it(library: Library, tmp_path: Path) -> None:
    measures = bench_suite.measures(
        library, compile_floor("forks", tmp_path), forks=1, row=2, fresh=1, drawn=40
    )
    verdicts = {measure.name: measure.run() for measure in measures}
    assert verdicts["floor"] == verdicts["alone"] == verdicts["fresh"] == 1
    assert verdicts["in a row"] == 2
    assert verdicts["drawn alone"] == verdicts["drawn in a row"] > 0
    assert verdicts["drawing"] > 0


def test_suite_as_json(library: Library) -> None:
    measures = [Measure(name, name, lambda: 1, [1.0, 3.0]) for name in ("floor", "alone", "in a row")]
    measures[1].ms = [2.0, 6.0]
    document = bench_suite.to_json(library, measures, 0.5, {1: [10.0], 2: [18.0]})
    assert set(document) == {
        *(
            "schema",
            "machine",
            "toolchain",
            "case",
            "rounds",
            "load_before",
            "measures",
            "ratios",
            "cases_per_second",
        )
    }
    assert [one["a_over_b"]["median"] for one in document["ratios"]] == [2, 2]
    assert [one["goal"] for one in document["ratios"]] == ["at most 1.5", "at least 10"]
    assert document["cases_per_second"] == {"-n 1": [10], "-n 2": [18]}
    assert Case.from_json(document["case"]) == bench_suite.CASE


def test_suite_takes_no_fault_of_ours_for_a_verdict() -> None:
    case = Case(Go())
    outcome = Outcome(case, Kind.HARNESS, "broken", Signature("harness", "broken"), (), (), 0, "", case)
    with pytest.raises(Stop, match="came to no verdict: broken"):
        bench_suite.judged(outcome, case)


def test_a_compiler_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -x")
    with pytest.raises(Stop, match=r"the C compiler no-such-compiler cannot be run: .*; set CC"):
        compile_floor("call", tmp_path)
