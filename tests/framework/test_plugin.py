"""What a user of the plugin sees: the options, what a failure shows, what is written, what is left.

Each test runs pytest in a process of its own, on a small suite in a folder of its own.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import test_fuzz_search
from broken import Break, write_overlay

from golib import C, Case, parse
from golib.door import DEADLINE
from golib.judge import known
from golib.options import OPTIONS
from golib.session import Run as Judged
from golib.session import official
from golib.toolchains.toolchain import Toolchain, resolve

ROOT = Path(__file__).parents[2]

OLD = "1.23.4"
"""A release with known issues: go#68285 and go#68587, among others."""

SECONDS = 120
"""For one run of pytest, or the end of a process: only a broken golib needs them."""

NESTED = """\
import pytest
from golib import C, Go

@pytest.mark.parametrize("depth", [40000], ids=["depth=40000"])
def test_nested(golib_check, depth):
    golib_check(Go(C(Go(), C(Go(), stack=depth), Go())), bounds="hidden")
"""

CALLS = """\
from golib import C, Go

def test_calls(golib_check):
    golib_check(C(Go(), times=100))
"""

PLAIN = """\
def test_nothing_of_go():
    pass
"""

ONE_CALL = """\
from golib import Go

def test_one_call(golib_check):
    golib_check(Go())
"""


class Suite:
    """A folder with tests in it, and pytest run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # What an outer pytest has told its workers is not for an inner one.
        # With CI set pytest's short summary repeats whole failures.
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if "PYTEST" not in name and name not in ("CI", "BUILD_NUMBER")
        }
        # Those that it needs, and none of the others that are installed: to load them takes longer than most
        # of these runs take. How golib lives beside them is test_elsewhere's.
        self.environment |= {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": "golib.plugin,xdist.plugin,pytest_timeout",
        }
        self.python = sys.executable
        # The order of tests is theirs, whatever else is installed.
        self.write("pytest.ini", "[pytest]\ngolib_required = true\naddopts = -p no:randomly\n")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def cached_in(self, cache: Path) -> Path:
        self.environment["GOLIB_CACHE"] = str(cache)
        return cache

    def command(self, *arguments: str) -> list[str]:
        return [self.python, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *arguments]

    def start(self, *arguments: str, **settings: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **settings,
        )

    def run(self, *arguments: str) -> Run:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=SECONDS)
        return Run(process.returncode, output)

    def results(self, name: str = "r.json") -> Any:
        return json.loads((self.folder / name).read_text())

    def lines(self, name: str = "r.json.lines") -> list[Any]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]


class Run:
    def __init__(self, status: int, output: str) -> None:
        self.status = status
        self.output = output

    def says(self, *texts: str) -> None:
        for text in texts:
            assert text in self.output, f"{text!r} is not in:\n{self.output}"

    def refused(self) -> str:
        """The one sentence of a run that was refused for what the user wrote."""
        assert self.status == pytest.ExitCode.USAGE_ERROR, self.output
        assert "Traceback" not in self.output
        assert "INTERNALERROR" not in self.output
        [sentence] = re.findall(r"^ERROR: (.*)$", self.output, re.MULTILINE)
        return str(sentence)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    folder = tmp_path / "suite"
    folder.mkdir()
    return Suite(folder)


def libraries(cache: Path) -> list[Path]:
    return [*cache.glob("**/*.so"), *cache.glob("libraries/*")]


def ended(pid: int) -> bool:
    """Whether a process comes to its end (a zombie has)."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], SECONDS)[0])
    finally:
        os.close(fd)


# Options that make no sense.

WORKERS = pytest.mark.parametrize("workers", ["0", "2"], ids=["no-xdist", "xdist"])

REPLACED = '{"Replace": {"$GOROOT/src/runtime/cgocall.go": "gone.go"}}'


@WORKERS
@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--go", "9.99.9", "9.99.9: cannot be had: "),
        ("--go", "1.20.1", "1.20.1: Go 1.20.1 is older than 1.21"),
        ("--go", "/nonexistent", "/nonexistent: no such file or folder; name a GOROOT folder"),
        ("--go", "banana", "banana: not a Go toolchain; name a release"),
        ("--go", "", "'': not a Go toolchain"),
        ("--go-overlay", "no.json", "no.json: is not JSON: "),
        ("--go-overlay", "gone.json", "gone.json: cannot be read: No such file"),
        ("--go-overlay", "replaced.json", "gone.go, to replace $GOROOT/src/runtime/cgocall.go, does not"),
        ("--golib-timeout", "nope", "--golib-timeout nope: it is a number of seconds above 0"),
        ("--golib-timeout", "-1", "--golib-timeout -1: it is a number of seconds above 0"),
        ("--golib-timeout", "nan", "--golib-timeout nan: it is a number of seconds above 0"),
        ("--golib-json", "file/r.json", "--golib-json file/r.json: it can't be written: "),
        ("--golib-html", "file/r.html", "--golib-html file/r.html: it can't be written: "),
        ("--golib-fuzz", "many", "--golib-fuzz many: it is a number from 0"),
        ("--golib-replay", "nonsense", "--golib-replay: "),
        (
            "--go-build",
            "-msan",
            "--go-build=-msan: golib cannot judge such a build; it knows --go-build=-race ",
        ),
        (
            "--go-build",
            "race",
            "--go-build=race: golib cannot judge such a build; it knows --go-build=-race and",
        ),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_at_once(
    suite: Suite, tmp_path: Path, workers: str, option: str, value: str, sentence: str
) -> None:
    cache = suite.cached_in(tmp_path / "cache")
    suite.write("test_it.py", ONE_CALL)
    suite.write("no.json", "no JSON")
    suite.write("replaced.json", REPLACED)
    suite.write("file", "is no folder")
    run = suite.run(f"{option}={value}", "-n", workers)
    assert sentence in run.refused()
    assert not libraries(cache)
    assert "test session starts" not in run.output


def test_two_build_flags_are_one_too_many(suite: Suite) -> None:
    suite.write("test_it.py", ONE_CALL)
    sentence = suite.run("--go-build=-race", "--go-build=-asan").refused()
    assert sentence.startswith(
        "--go-build=-race --go-build=-asan: the go command takes one of them at a time"
    )


RENAMED = {
    "--fuzz": ("--golib-fuzz", "3"),
    "--fuzz-seed": ("--golib-fuzz-seed", "3"),
    "--depths": ("--golib-depths", "3"),
    "--failures": ("--golib-failures", "folder"),
    "--replay": ("--golib-replay", "Go()"),
    "--case-timeout": ("--golib-timeout", "3"),
    "--no-known-issues": ("--golib-no-known-issues", ""),
}


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_is_refused_naming_the_new_one(suite: Suite, old: str) -> None:
    suite.write("test_it.py", PLAIN)
    new, value = RENAMED[old]
    sentence = f"; golib's option of this name is now {new}"
    given = f"{old}={value}" if value else old
    # Where pytest-replay is installed, one of these names is its own.
    without = "-p", "no:replay"
    assert suite.run(given, *without).refused() == f"unrecognized arguments: {given}{sentence}"
    if value:
        assert suite.run(old, value, *without).refused() == f"unrecognized arguments: {old}{sentence}"


def test_an_old_name_may_be_somebody_elses(suite: Suite) -> None:
    suite.write(
        "test_it.py", "def test_it(pytestconfig):\n    assert pytestconfig.getoption('fuzz') == '3'\n"
    )
    suite.write("conftest.py", "def pytest_addoption(parser):\n    parser.addoption('--fuzz')\n")
    run = suite.run("--fuzz=3")
    assert run.status == 0, run.output


def test_the_help_names_the_default_time_of_a_case(suite: Suite) -> None:
    said = " ".join(suite.run("--help").output.split())
    assert f"before it is a hang (default: {DEADLINE:g})" in said


@WORKERS
def test_a_go_that_cannot_build_the_bridge_is_told_once(suite: Suite, workers: str) -> None:
    suite.write("test_it.py", ONE_CALL)
    suite.write("broken.go", "package runtime\nthis is no Go\n")
    overlay = {"Replace": {"$GOROOT/src/runtime/cgocall.go": "broken.go"}}
    suite.write("overlay.json", json.dumps(overlay))
    run = suite.run("--go-overlay", "overlay.json", "-n", workers)
    assert "cannot build" in run.refused()
    run.says("syntax error")


# A machine that lacks something.


@pytest.fixture
def without_go(suite: Suite, tmp_path: Path) -> Suite:
    """The suite on a machine where go is neither on PATH nor beside the interpreter."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python").symlink_to(os.path.realpath(sys.executable))
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler
    suite.python = str(folder / "python")
    suite.environment |= {
        "PATH": str(folder),
        "CC": compiler,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
    }
    return suite


@WORKERS
def test_without_go_a_suite_that_needs_it_is_refused(without_go: Suite, workers: str) -> None:
    without_go.write("test_it.py", PLAIN)
    assert re.fullmatch(
        r"no go command on PATH nor beside .*/bin/python; install Go from .*",
        without_go.run("-n", workers).refused(),
    )


@WORKERS
def test_without_go_a_suite_of_others_runs(without_go: Suite, workers: str) -> None:
    # The plugin is installed, and this suite has nothing to do with it.
    without_go.write("pytest.ini", "[pytest]\n")
    without_go.write("test_it.py", PLAIN)
    run = without_go.run("-n", workers, "-W", "error")
    assert run.status == 0, run.output
    run.says("1 passed")
    assert "golib: " not in run.output
    assert "Go's behaviour" not in run.output


@WORKERS
def test_without_go_a_test_that_uses_it_is_no_pass(without_go: Suite, workers: str) -> None:
    without_go.write("pytest.ini", "[pytest]\n")
    without_go.write("test_it.py", PLAIN + ONE_CALL)
    run = without_go.run("-n", workers)
    assert run.status not in (0, 5), run.output
    run.says("no go command on PATH")
    assert "Traceback" not in run.output


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("CGO_ENABLED", "0", "CGO_ENABLED=0 is set, and golib's bridge is cgo code; unset it"),
        ("CC", "/nonexistent/cc", "the C compiler '/nonexistent/cc' is not on PATH, and cgo needs one; "),
    ],
)
def test_without_what_cgo_needs_a_run_is_refused(
    suite: Suite, tmp_path: Path, setting: str, value: str, sentence: str
) -> None:
    cache = suite.cached_in(tmp_path / "cache")
    suite.write("test_it.py", ONE_CALL)
    suite.environment[setting] = value
    assert sentence in suite.run().refused()
    assert not libraries(cache)


def test_without_a_c_compiler_on_path_a_run_is_refused(
    without_go: Suite, go_on_path: Toolchain, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "go").symlink_to(go_on_path.go)
    del without_go.environment["CC"]
    without_go.write("test_it.py", ONE_CALL)
    sentence = without_go.run().refused()
    assert re.match(r"the C compiler '\w+' is not on PATH, and cgo needs one", sentence)


# Ids, tables, results.


def test_ids_name_the_toolchain_first(suite: Suite, go_on_path: Toolchain) -> None:
    suite.write("test_it.py", NESTED + CALLS.partition("\n\n")[2])
    run = suite.run("--go", OLD, "--go", "go", "--collect-only", "-q")
    # One toolchain after the other, so that a process has one bridge in use at a time.
    assert [line for line in run.output.splitlines() if "::" in line] == [
        f"test_it.py::test_nested[go{OLD}-depth=40000]",
        f"test_it.py::test_calls[go{OLD}]",
        f"test_it.py::test_nested[{go_on_path.name}-depth=40000]",
        f"test_it.py::test_calls[{go_on_path.name}]",
    ]


ROW = {"test", "toolchain", "status", "outcome", "issue"}


def test_two_toolchains_are_two_columns_and_one_document(suite: Suite, go_on_path: Toolchain) -> None:
    suite.write("test_deep_calls.py", NESTED)
    suite.write(
        "test_many_calls.py",
        CALLS + "\nimport pytest\n@pytest.mark.skip\ndef test_skipped(golib_check):\n    pass\n",
    )
    documents = {}
    for workers in "0", "2":
        run = suite.run("--go", OLD, "--go", "go", "-n", workers, "--golib-json", "r.json")
        assert run.status == 0, run.output
        run.says("2 passed, 2 skipped, 2 xfailed", "go#68285: ", "(https://go.dev/issue/68587)")
        [head] = re.findall(r"^behaviour .*$", run.output, re.MULTILINE)
        assert head.split() == ["behaviour", f"go{OLD}", go_on_path.name]
        assert re.search(r"^deep calls +1 go#68285, 1 go#72870 +1 passed$", run.output, re.MULTILINE)
        assert re.search(
            r"^many calls +1 go#68587, 1 skipped +1 passed, 1 skipped$", run.output, re.MULTILINE
        )
        documents[workers] = suite.results()
        assert sorted(map(json.dumps, suite.lines())) == sorted(map(json.dumps, suite.results()["results"]))
    assert documents["0"] == documents["2"]
    document = documents["0"]
    assert set(document) == {"schema", "toolchains", "machine", "drawn", "shard", "results"}
    assert document["shard"] == {"number": 1, "of": 1}
    assert document["schema"] == 1
    machine = {"libc": " ".join(platform.libc_ver()), "arch": "x86_64", "gil": True}
    assert document["machine"] == machine | {"python": platform.python_version()}
    assert document["toolchains"] == [
        {"spec": OLD, "version": OLD},
        {"spec": "go", "version": go_on_path.version},
    ]
    rows = document["results"]
    assert all(set(row) == ROW for row in rows)
    assert {(row["test"], row["toolchain"]): (row["status"], row["issue"]) for row in rows} == {
        ("test_deep_calls.py::test_nested[depth=40000]", f"go{OLD}"): ("known", "go#68285, go#72870"),
        ("test_deep_calls.py::test_nested[depth=40000]", go_on_path.name): ("passed", None),
        ("test_many_calls.py::test_calls", f"go{OLD}"): ("known", "go#68587"),
        ("test_many_calls.py::test_calls", go_on_path.name): ("passed", None),
        ("test_many_calls.py::test_skipped", f"go{OLD}"): ("skipped", None),
        ("test_many_calls.py::test_skipped", go_on_path.name): ("skipped", None),
    }
    [dead] = [row for row in rows if row["issue"] == "go#68285, go#72870"]
    assert set(dead["outcome"]) == {"kind", "signature", "headline"}
    assert dead["outcome"]["kind"] == "fatal"
    assert dead["outcome"]["headline"] == "fatal: fatal error: runtime: stack split at bad time"
    assert dead["outcome"]["signature"].startswith(dead["outcome"]["headline"] + " in runtime.")


def test_a_goroot_with_a_releases_name_has_an_id_of_its_own(
    suite: Suite, go_on_path: Toolchain, tmp_path: Path
) -> None:
    copy = tmp_path / "goroot"
    (copy / "bin").mkdir(parents=True)
    for entry in go_on_path.goroot.iterdir():
        if entry.name != "bin":
            (copy / entry.name).symlink_to(entry)
    go = copy / "bin" / "go"
    go.write_text(f'#!/bin/sh\nGOROOT={shlex.quote(str(copy))} exec {shlex.quote(str(go_on_path.go))} "$@"\n')
    go.chmod(0o755)
    suite.write("test_it.py", ONE_CALL)
    run = suite.run("--go", "go", f"--go={copy}", "-v", "--golib-json", "r.json")
    assert run.status == 0, run.output
    name = go_on_path.name
    run.says(f"test_one_call[{name}] PASSED", f"test_one_call[{name}@2] PASSED")
    assert re.search(rf"^behaviour +{name} +{name}@2$", run.output, re.MULTILINE)
    assert [(row["test"], row["toolchain"]) for row in suite.results()["results"]] == [
        ("test_it.py::test_one_call", name),
        ("test_it.py::test_one_call", f"{name}@2"),
    ]


def test_a_path_after_an_option_does_not_cost_the_suite_its_ini_file(
    suite: Suite, go_on_path: Toolchain
) -> None:
    suite.write("test_it.py", ONE_CALL)
    run = suite.run("--go", str(go_on_path.goroot), "--collect-only")
    run.says("configfile: pytest.ini")


def test_the_header_says_what_is_judged_and_with_what(suite: Suite, go_on_path: Toolchain) -> None:
    suite.write("test_it.py", ONE_CALL)
    suite.environment["GOGC"] = "50"
    run = suite.run("--collect-only")
    run.says(
        f"golib: {go_on_path.name} ({go_on_path.goroot})", "glibc 2.", ", x86_64, Python 3.", "the GIL\n"
    )
    run.says("golib: GOGC=50 is ignored: ")
    assert "building" not in run.output, "nothing runs, so nothing is needed"


@WORKERS
def test_a_build_flag_is_part_of_the_name(suite: Suite, go_on_path: Toolchain, workers: str) -> None:
    suite.write("test_it.py", ONE_CALL)
    run = suite.run("--go-build=-race", "-v", "-n", workers, "--golib-json", "r.json")
    assert run.status == 0, run.output
    name = f"{go_on_path.name}-race"
    run.says(
        f"test_one_call[{name}]", f"golib: {name} ({go_on_path.goroot})", "golib: not judged with -race: "
    )
    assert re.search(rf"^behaviour +{name}$", run.output, re.MULTILINE)
    document = suite.results()
    assert document["toolchains"] == [{"spec": "go", "version": go_on_path.version, "build": "-race"}]
    assert [(row["test"], row["toolchain"]) for row in document["results"]] == [
        ("test_it.py::test_one_call", name)
    ]


def test_a_failure_names_the_build_and_runs_it_again(twin: Suite, go_on_path: Toolchain) -> None:
    # Another build would be another case.
    twin.write("test_it.py", CALLS.replace("C(Go(), times=100)", f"Go(), Go(C(stack={Break.MASK}))"))
    run = twin.run(*TWIN, "--go-build=-race")
    assert run.status == 1, run.output
    run.says(f"{go_on_path.name}-race: divergence: ")
    [again] = re.findall(r"^run it again: pytest (.*)$", run.output, re.MULTILINE)
    assert shlex.split(again)[-1] == "--go-build=-race"


def test_a_failure_of_a_suite_with_its_own_settings_file_names_it(twin: Suite) -> None:
    twin.write("test_it.py", CALLS.replace("C(Go(), times=100)", f"Go(), Go(C(stack={Break.MASK}))"))
    (twin.folder / "pytest.ini").rename(twin.folder / "own.ini")
    twin.write("pytest.ini", "[pytest]\naddopts = -k nothing\n")
    run = twin.run(*TWIN, "-c", "own.ini")
    assert run.status == 1, run.output
    [again] = re.findall(r"^run it again: pytest (.*)$", run.output, re.MULTILINE)
    second = twin.run(*shlex.split(again))
    assert second.status == 1, second.output
    second.says("sigmask: expected 0, seen 2048")


def test_two_workers_build_once(suite: Suite, go_on_path: Toolchain, tmp_path: Path) -> None:
    cache = suite.cached_in(tmp_path / "cache")
    suite.write("test_it.py", NESTED + CALLS.partition("\n\n")[2] + ONE_CALL.partition("\n\n")[2])
    run = suite.run("-n", "2")
    assert run.status == 0, run.output
    assert run.output.count("golib: building") == 1
    run.says(f"golib: building seed with {go_on_path.name} (real)")
    # Each process that runs the go command with an id of its own leaves a stamp.
    assert len(list(cache.glob("libraries/*/session-*"))) == 1
    assert len(list(cache.glob("libraries/*/libgolib-*.so"))) == 1


def built(cache: Path) -> list[str]:
    """The flavours of the bridge that were built there."""
    return sorted(path.parent.name.split("-")[-2] for path in cache.glob("libraries/*/libgolib-*.so"))


def test_a_flavour_is_built_only_where_a_test_wants_it(suite: Suite, tmp_path: Path) -> None:
    cache = suite.cached_in(tmp_path / "cache")
    suite.write(
        "test_it.py", ONE_CALL.replace("check)", "check, bounds)").replace("Go()", "Go(), bounds=bounds")
    )
    suite.write(
        "conftest.py",
        "import pytest\n@pytest.fixture(params=['real', 'absent'])\ndef bounds(request):\n"
        "    return request.param\n",
    )
    run = suite.run()
    assert run.status == 0, run.output
    assert built(cache) == ["absent", "real"]
    shutil.rmtree(cache)
    run = suite.run("-k", "real")
    assert run.status == 0, run.output
    assert built(cache) == ["real"]


@WORKERS
def test_the_word_absent_in_a_tests_name_builds_nothing(suite: Suite, tmp_path: Path, workers: str) -> None:
    cache = suite.cached_in(tmp_path / "cache")
    suite.write("test_absent.py", ONE_CALL.replace("one_call", "absent"))
    run = suite.run("-n", workers)
    assert run.status == 0, run.output
    assert built(cache) == ["real"]


# Failures.


def test_a_known_issue_is_no_failure_unless_all_are_asked_for(suite: Suite) -> None:
    suite.write("test_it.py", CALLS)
    run = suite.run("--go", OLD, "-rx")
    assert run.status == 0, run.output
    run.says("1 xfailed", "go#68587")
    run = suite.run("--go", OLD, "--golib-no-known-issues")
    assert run.status == 1, run.output
    run.says("1 failed")


@pytest.fixture
def twin(suite: Suite) -> Suite:
    """A suite to be run with the bridge's broken twin."""
    folder = suite.folder / "twin"
    folder.mkdir()
    write_overlay(folder)
    return suite


TWIN = ("--go-overlay", "twin/overlay.json")


def test_a_failure_shows_all_that_is_needed_to_go_on(twin: Suite) -> None:
    twin.write(
        "test_it.py",
        "import pytest\nfrom golib import C, Go\n\n@pytest.mark.parametrize('what', ['a b'])\n"
        "def test_mask(golib_check, what):\n"
        f"    golib_check(Go(), Go(C(stack={Break.MASK}), C(stack={Break.FLOOD})))\n",
    )
    run = twin.run(*TWIN)
    assert run.status == 1
    output = run.output
    run.says(
        f"    Case(Go(), Go(C(stack={Break.MASK}), C(stack={Break.FLOOD})))\n",
        "ended: exit status 0",
        "sigmask: expected 0, seen 2048",
        "a callback gives the thread its signal mask",
        "the last line\n",
    )
    [marked] = re.findall(r"^  > +\d+ .*$", output, re.MULTILINE)
    assert re.match(r"  > +\d+ 0 Go\(\) +after C ", marked)
    assert "00000000 is a line" not in output, "of a long stderr only the end is shown"
    assert "Traceback" not in output
    assert "pytest.fail" not in output
    [again] = re.findall(r"^run it again: pytest (.*)$", output, re.MULTILINE)
    second = twin.run(*shlex.split(again))
    assert second.status == 1, second.output
    second.says("sigmask: expected 0, seen 2048")


def test_a_known_issue_that_was_asked_for_fails_again_when_run_again(suite: Suite) -> None:
    suite.write("test_it.py", CALLS)
    run = suite.run("--go", OLD, "--golib-no-known-issues")
    assert run.status == 1, run.output
    [again] = re.findall(r"^run it again: pytest (.*)$", run.output, re.MULTILINE)
    assert suite.run(*shlex.split(again)).status == 1


def test_a_death_shows_gos_words_and_the_trace_up_to_it(twin: Suite) -> None:
    twin.write(
        "test_it.py",
        ONE_CALL.replace("Go()", f"Go(C(stack={Break.THROW}))").replace("import Go", "import C, Go"),
    )
    run = twin.run(*TWIN)
    assert run.status == 1
    run.says(
        "fatal: fatal error: sync: unlock of unlocked mutex\n",
        "ended: SIGABRT",
        f"C(stack={Break.THROW}) entered C",
        "    pytest-golib.invalid/bridge.golibThrow(...)\n",
    )


def test_a_hang_ends_when_its_time_is_up(twin: Suite) -> None:
    twin.write(
        "test_it.py", ONE_CALL.replace("Go()", f"C(stack={Break.HANG})").replace("import Go", "import C")
    )
    run = twin.run(*TWIN, "--golib-timeout", "0.5")
    assert run.status == 1
    run.says("hang: it did not come to its end in time")


def test_our_own_fault_is_not_blamed_on_go(suite: Suite) -> None:
    suite.write(
        "test_it.py",
        ONE_CALL.replace("Go()", "Thread(stack=1 << 46)").replace("import Go", "import Thread"),
    )
    run = suite.run()
    assert run.status == 1
    run.says("harness: a native thread could not be started: Resource temporarily unavailable")


def test_an_illegal_case_is_refused_with_its_reason(suite: Suite) -> None:
    suite.write(
        "test_it.py", ONE_CALL.replace("Go()", "Go(Panic())").replace("import Go", "import Go, Panic")
    )
    run = suite.run()
    assert run.status == 1
    run.says("IllegalCase: tree 0 panics with no recover above it")
    assert "Traceback" not in run.output


# What is not a case's outcome.

LOOKS = """\
import os, signal
from golib import Case, Go, Panic
from golib.door import servers

def test_illegal(golib_check):
    golib_check.look(Case(Go(Panic())))

def test_server(golib_check):
    golib_check(Go())
    [server] = servers()._servers.values()
    os.kill(server.pid, signal.SIGKILL)
    golib_check.look(Case(Go()))
"""


def test_a_look_at_a_case_that_could_not_run_is_a_sentence(suite: Suite) -> None:
    suite.write("test_it.py", LOOKS)
    run = suite.run()
    assert run.status == 1
    run.says("2 failed", "\nIllegalCase: tree 0 panics with no recover above it", "\nServerError: ")
    assert "Traceback" not in run.output
    assert "golib/plugin.py" not in run.output


def test_a_flavour_that_cannot_be_built_is_a_sentence(suite: Suite, tmp_path: Path) -> None:
    # Found when the first case needs it, with the other flavour built and in use.
    suite.cached_in(tmp_path / "cache")
    suite.write(
        "test_it.py",
        "import os\nfrom golib import Go\n\ndef test_it(golib_check):\n    golib_check(Go())\n"
        "    os.environ['CC'] = '/nonexistent/cc'\n    golib_check(Go(), bounds='absent')\n",
    )
    run = suite.run()
    assert run.status == 1
    run.says("\nBuildError: ", "/nonexistent/cc")
    assert "golib/plugin.py" not in run.output


# Rates.

RARE = """\
import dataclasses
import pytest
from golib.judge import known
from golib.session import Check

ISSUE = next(issue for issue in known.shipped() if issue.id == "golib-1")

@pytest.mark.parametrize("rate", [1.0, 0.04])
def test_rate(golib_bridge, request, rate):
    issues = [dataclasses.replace(ISSUE, rate=rate)]
    Check(golib_bridge, issues, request.node).case(ISSUE.proof)
"""


def test_a_known_issue_that_shows_more_often_than_its_rate_explains_is_a_failure(suite: Suite) -> None:
    suite.write("test_it.py", RARE)
    run = suite.run("--golib-json", "r.json")
    assert run.status == 1, run.output
    run.says("1 failed, 1 xfailed", "\nit showed golib-1 in 4 of 4 runs; the list says at a rate of 0.04\n")
    run.says("fatal: fatal error: morestack on g0\nended: SIGABRT")
    statuses = [(row["status"], row["issue"]) for row in suite.results()["results"]]
    assert statuses == [("failed", "golib-1"), ("known", "golib-1")]


# Issues that are gone.

GONE = """\
def test_gone(golib_check):
    open("official", "w").write(str(golib_check.official))
    if golib_check.official:
        golib_check.gone("golib-1")

def test_nothing(golib_check):
    pass
"""


@WORKERS
def test_an_issue_that_is_gone_is_told_and_is_no_failure(
    suite: Suite, go_on_path: Toolchain, workers: str
) -> None:
    suite.write("test_it.py", GONE)
    run = suite.run("-n", workers, "--golib-json", "r.json", "--golib-html", "r.html")
    assert run.status == 0, run.output
    run.says("2 passed", "golib: the page is r.html")
    title = f"golib-1 is gone in {go_on_path.version}"
    assert title in (suite.folder / "r.html").read_text()
    [line] = re.findall(r"^golib-1: .*$", run.output, re.MULTILINE)
    title = next(issue.title for issue in known.shipped() if issue.id == "golib-1")
    assert line == f"golib-1: gone ({title}) with {go_on_path.name}"
    gone, nothing = suite.results()["results"]
    assert (gone["status"], gone["gone"]) == ("passed", ["golib-1"])
    assert "gone" not in nothing


def test_an_overlay_is_not_what_was_published(suite: Suite) -> None:
    suite.write("test_it.py", GONE)
    suite.write("overlay.json", '{"Replace": {}}')
    run = suite.run("--go-overlay", "overlay.json")
    assert run.status == 0, run.output
    assert (suite.folder / "official").read_text() == "False"


@pytest.mark.parametrize(
    ("spec", "version", "is_official"),
    [
        ("go", "1.26.8", True),
        ("1.26.8", "1.26.8", True),
        ("go1.27rc1", "1.27rc1", True),
        ("1.21beta1", "1.21beta1", True),
        ("1.26", "1.26.8", True),
        ("1.26.x", "1.26.8", True),
        ("latest", "1.27.4", True),
        ("go", "devel go1.28-abc123", False),
        ("go", "1.28-devel_abc123", False),
        ("go", "1.26.8 X:nogreenteagc", False),
        ("/usr/local/go", "1.26.8", False),
        ("./go", "1.26.8", False),
        ("~/go1.26.8/bin/go", "1.26.8", False),
    ],
)
def test_a_release_by_name_is_official_and_a_folder_is_not(
    spec: str, version: str, is_official: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    usual = dataclasses.replace(request.config.stash[OPTIONS], flags=())
    run = Judged(usual, toolchains=[], unavailable=[], overlay=None, replay=[])
    chosen = Toolchain(spec, version, tmp_path)
    assert official(run, chosen) is is_official
    assert not official(dataclasses.replace(run, overlay=tmp_path / "overlay.json"), chosen)
    race = dataclasses.replace(usual, flags=("-race",))
    assert not official(dataclasses.replace(run, options=race), chosen)


# Replay.

PASSES = "Go(C(Go()))"
DIES = "Case(Go(Stack(Go(Panic())), recover=True))"
"""The proof of golib-1."""

OTHERS = """\
raise RuntimeError("this suite cannot even be collected")
"""


@pytest.fixture(params=["empty", "others"])
def elsewhere(request: pytest.FixtureRequest, suite: Suite) -> Suite:
    """A place that knows nothing of golib: an empty folder, or a suite of somebody else's."""
    (suite.folder / "pytest.ini").unlink()
    if request.param == "others":
        suite.write("pytest.ini", "[pytest]\naddopts = -m nothing -k none\nmarkers = nothing: of ours\n")
        suite.write("test_it.py", OTHERS)
        suite.write("test_plain.py", PLAIN)
    return suite


@WORKERS
def test_a_case_is_replayed_wherever_pytest_stands(
    elsewhere: Suite, go_on_path: Toolchain, workers: str
) -> None:
    elsewhere.write("case.json", json.dumps({"case": parse(DIES).to_json()}))
    run = elsewhere.run(
        *("--golib-replay", PASSES, "--golib-replay", "case.json", "--go", "go", "--go", "1.27.4"),
        *("-n", workers, "--golib-json", "r.json"),
    )
    assert run.status == 0, run.output
    run.says("2 passed, 2 xfailed")
    section = run.output.partition("= replayed =")[2].partition("Go's behaviour")[0]
    names = [go_on_path.name, "go1.27.4"]
    assert re.findall(r"^replay\[.*$", section, re.MULTILINE) == [
        line for name in names for line in (f"replay[{name}-0]: passed", f"replay[{name}-1]: known golib-1")
    ]
    # The signature and the trace of each.
    assert section.count("signature: passed: passed\n") == 2
    assert section.count("signature: fatal: fatal error: morestack on g0 in runtime.") == 2
    assert section.count(f"    Case({PASSES})\n") == 2
    assert len(re.findall(r"^ +6 0 +Go\(\) +entered Go ", section, re.MULTILINE)) == 2
    assert [(row["test"], row["toolchain"], row["status"]) for row in elsewhere.results()["results"]] == [
        ("replay[0]", names[0], "passed"),
        ("replay[0]", names[1], "passed"),
        ("replay[1]", names[0], "known"),
        ("replay[1]", names[1], "known"),
    ]
    assert re.search(r"^replay +1 passed, 1 golib-1 +1 passed, 1 golib-1$", run.output, re.MULTILINE)


@WORKERS
def test_a_replay_that_fails_says_how_to_run_it_again(elsewhere: Suite, workers: str) -> None:
    arguments = ["--golib-replay", DIES, "--golib-no-known-issues", "--go", "1.27.4", "-n", workers]
    run = elsewhere.run(*arguments)
    assert run.status == 1, run.output
    run.says("1 failed", "replay[go1.27.4-0]: failed\nsignature: fatal: fatal error: morestack on g0 in ")
    [again] = re.findall(r"^run it again: pytest (.*)$", run.output, re.MULTILINE)
    assert shlex.split(again) == [f"--golib-replay={DIES}", "--go=1.27.4", "--golib-no-known-issues"]
    second = elsewhere.run(*shlex.split(again))
    assert second.status == 1, second.output
    second.says("replay[go1.27.4-0]: failed")


def test_a_suite_of_ours_runs_the_replay_alone(suite: Suite) -> None:
    suite.write("test_it.py", ONE_CALL)
    run = suite.run("--golib-replay", PASSES, "test_it.py")
    assert run.status == 0, run.output
    run.says("1 passed", "replayed")
    assert "test_it.py" not in run.output


def test_a_replay_without_a_go_is_refused(without_go: Suite) -> None:
    without_go.write("pytest.ini", "[pytest]\n")
    assert "no go command on PATH" in without_go.run("--golib-replay", PASSES).refused()


# The fuzzer.

SHARD = """\
def test_search(_golib_fuzz, _golib_shard):
    _golib_fuzz(_golib_shard)
"""


@WORKERS
def test_what_the_fuzzer_saw_once_is_a_failure_with_a_case_and_a_rate(suite: Suite, workers: str) -> None:
    suite.write("test_it.py", SHARD)
    folder = suite.folder / "failures"
    folder.mkdir()
    (suite.folder / "plan").write_text("x")
    overlay = test_fuzz_search.write_overlay(suite.folder)
    name = resolve([])[0][0].name
    planned = Case(C(stack=test_fuzz_search.PLANNED))
    kept = {"toolchain": name, "count": 1, "case": planned.to_json()}
    (folder / "a.json").write_text(json.dumps(kept))
    (folder / "b.json").write_text("half a")
    run = suite.run(
        *(f"--go-overlay={overlay}", f"--golib-failures={folder}", "--golib-fuzz=1", "-n", workers),
        f"test_it.py::test_search[{name}-shard=0]",
    )
    assert run.status == 1, run.output
    run.says("cases came to this; seen in 1 of ", "alone in 0 of 20", "under load in 0 of 20")
    run.says("signal: died by SIGABRT")
    [path] = folder.glob("signal-*.json")
    found = json.loads(path.read_text())
    assert 0 < found["rate"] < 0.02
    assert found["ran"]["trees"][0] == planned.to_json()["trees"][0]
    [again] = re.findall(r"^run it again: pytest (.*)$", run.output, re.MULTILINE)
    assert shlex.split(again)[0] == f"--golib-replay={path}"
    # What was kept before and cannot be read is one line, and no failure.
    [line] = re.findall(r"^golib: .*b\.json.*$", run.output, re.MULTILINE)
    assert line.startswith(f"golib: {folder / 'b.json'} is passed over, it holds no case any more: Expecting")


# Interruptions.


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_an_interrupted_run_keeps_its_verdicts(suite: Suite, name: str) -> None:
    reading, writing = os.pipe()
    suite.write(
        "test_it.py",
        ONE_CALL
        + f"\nimport os, select\ndef test_stays(golib_check):\n    os.write({writing}, b'here')\n"
        + "    select.select([], [], [])\n",
    )
    process = suite.start("--golib-json", "r.json", pass_fds=(writing,))
    os.close(writing)
    try:
        assert os.read(reading, 4) == b"here"
        process.send_signal(signal.Signals[name])
        process.communicate(timeout=SECONDS)
    finally:
        os.close(reading)
        process.kill()
        process.wait()
    [row] = suite.lines()
    assert (row["test"], row["status"]) == ("test_it.py::test_one_call", "passed")
    assert row["outcome"]["kind"] == "passed"
    assert (suite.folder / "r.json").exists() == (name == "SIGINT")
    assert not list(suite.folder.glob(".r.json*")), "no half of it stays behind"


KILLER = f"""\
import os, signal, threading
from golib import C, Go

def test_dies(golib_check):
    def kill():
        child = int(open("fifo").read())  # comes when the case hangs; pytest-timeout bounds the wait
        status = open(f"/proc/{{child}}/status").read()
        server = int(status.partition("PPid:")[2].split()[0])
        open("pids", "w").write(f"{{child}} {{server}} {{os.getpid()}}")
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Thread(target=kill, daemon=True).start()
    golib_check(Go(C(stack={Break.TELL_AND_HANG})))

def test_lives(golib_check):
    golib_check(Go())

def test_lives_too(golib_check):
    golib_check(Go(C(Go())))
"""


def test_a_worker_killed_in_mid_case_leaves_no_process_and_the_run_goes_on(twin: Suite) -> None:
    twin.write("test_it.py", KILLER)
    os.mkfifo(twin.folder / "fifo")
    twin.environment["GOLIB_TEST_FIFO"] = str(twin.folder / "fifo")
    run = twin.run(*TWIN, "-n", "2", "--golib-json", "r.json")
    assert run.status == 1, run.output
    run.says("2 passed", "1 failed", "crashed while running 'test_it.py::test_dies[")
    pids = [int(pid) for pid in (twin.folder / "pids").read_text().split()]
    assert len(set(pids)) == 3
    assert all(ended(pid) for pid in pids)
    passed = [row["test"] for row in twin.results()["results"] if row["status"] == "passed"]
    assert passed == ["test_it.py::test_lives", "test_it.py::test_lives_too"]


@WORKERS
def test_a_full_disk_ends_the_writing_and_not_the_run(suite: Suite, workers: str) -> None:
    suite.write("test_it.py", ONE_CALL + CALLS.partition("\n\n")[2].replace("C(Go(), times=100)", "Go()"))
    (suite.folder / "r.json.lines").symlink_to("/dev/full")
    run = suite.run("--golib-json", "r.json", "-n", workers)
    run.says("2 passed", "r.json is incomplete: No space left on device")
    assert run.status not in (0, 1)


def test_a_run_leaves_no_process_behind(suite: Suite) -> None:
    suite.write(
        "test_it.py",
        ONE_CALL.replace("check)", "check, request)") + "    from golib.door import servers\n"
        "    pids = [server.pid for server in servers()._servers.values()]\n"
        "    open('pids', 'w').write(' '.join(map(str, pids)))\n",
    )
    assert suite.run().status == 0
    pids = (suite.folder / "pids").read_text().split()
    assert len(pids) == 1
    # Not merely about to end: nobody is left once the command has come back.
    assert not Path(f"/proc/{pids[0]}").exists()
