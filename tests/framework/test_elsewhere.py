"""What golib is in suites of others: nothing where they do not use it, and a good neighbour where they do.

Each test runs pytest in a process of its own, with the plugins that it names and no other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from golib.toolchains.toolchain import Toolchain

SECONDS = 120
"""For one run of pytest: only a broken golib needs them."""

WORKERS = pytest.mark.parametrize("workers", ["0", "2"], ids=["no-xdist", "xdist"])

OWN_NAMES = """\
import pytest


@pytest.fixture
def toolchain():
    return "a hammer"


@pytest.fixture
def bridge():
    return "over a river"


@pytest.mark.parametrize("shard", ["of glass", "of ice"])
def test_parameter(shard):
    assert shard.startswith("of ")


@pytest.mark.parametrize("depth", [3])
def test_names(toolchain, bridge, depth):
    assert (toolchain, bridge, depth) == ("a hammer", "over a river", 3)
"""
"""3 tests with names that golib's own suite has too."""

OWN_SHARD = """\
import pytest


@pytest.fixture
def shard():
    return "one"


@pytest.fixture
def fuzz():
    return "on a peach"


def test_fixture(shard, fuzz):
    assert (shard, fuzz) == ("one", "on a peach")
"""

USES_GOLIB = """\
from golib import C, Go


def test_calls(golib_check):
    golib_check(Go(C(Go())))


def test_outcome(golib_bridge, golib_toolchain):
    assert golib_bridge.toolchain == golib_toolchain
"""

LISTS_MODULES = """\
import json, os, sys

def pytest_unconfigure(config):
    loaded = sorted(name for name in sys.modules if name.partition(".")[0] in ("golib", "elftools"))
    with open(f"modules-{os.getpid()}.json", "w") as file:
        json.dump(loaded, file)
"""

LIGHT = ["golib", "golib.options", "golib.plugin"]


class Elsewhere:
    """A folder that has nothing to do with golib, and a go command that leaves a mark where it runs."""

    def __init__(self, folder: Path, go: Path) -> None:
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
        self.environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        tools = folder / "tools"
        tools.mkdir(parents=True)
        (tools / "go").write_text(f'#!/bin/sh\ntouch {folder}/go-ran\nexec {go} "$@"\n')
        (tools / "go").chmod(0o755)
        self.environment["PATH"] = f"{tools}:{self.environment['PATH']}"

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def run(self, workers: str, *arguments: str, plugins: tuple[str, ...] = ()) -> tuple[int, str]:
        """The exit status and what was said."""
        chosen = [word for name in ("golib", "xdist", *plugins) for word in ("-p", name)]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            *chosen,
            "-n",
            workers,
            *arguments,
        ]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=SECONDS
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def go_ran(self) -> bool:
        return (self.folder / "go-ran").exists()

    def modules(self) -> list[list[str]]:
        """golib's modules in each process of the run."""
        return [json.loads(path.read_text()) for path in self.folder.glob("modules-*.json")]


@pytest.fixture
def elsewhere(tmp_path: Path, go_on_path: Toolchain) -> Elsewhere:
    return Elsewhere(tmp_path / "elsewhere", go_on_path.go)


# A suite that does not use golib.


@WORKERS
def test_a_suite_without_go_pays_nothing_and_keeps_its_names(elsewhere: Elsewhere, workers: str) -> None:
    elsewhere.write("test_it.py", OWN_NAMES)
    elsewhere.write("test_shard.py", OWN_SHARD)
    elsewhere.write("conftest.py", LISTS_MODULES)
    status, said = elsewhere.run(workers)
    assert status == 0, said
    assert "4 passed" in said
    assert "golib:" not in said
    assert elsewhere.modules() == [LIGHT] * (1 + int(workers))
    assert not elsewhere.go_ran


def test_a_light_option_of_golibs_loads_no_more(elsewhere: Elsewhere) -> None:
    # In the addopts of a suite of which only a part is about Go.
    elsewhere.write("test_it.py", OWN_NAMES)
    elsewhere.write("conftest.py", LISTS_MODULES)
    status, said = elsewhere.run("0", "--golib-timeout=60", "--golib-fuzz-seed=random")
    assert status == 0, said
    assert elsewhere.modules() == [LIGHT]
    assert not elsewhere.go_ran


# A suite that does.


@WORKERS
def test_a_test_that_uses_golib_is_what_brings_it_in(
    elsewhere: Elsewhere, go_on_path: Toolchain, workers: str
) -> None:
    elsewhere.write("test_it.py", USES_GOLIB)
    elsewhere.write("test_names.py", OWN_NAMES)
    status, said = elsewhere.run(workers, "--golib-fuzz-seed=random")
    assert status == 0, said
    assert "5 passed" in said
    assert elsewhere.go_ran
    # The header comes late, and once; the table has the tests of golib's alone.
    assert said.count(f"golib: {go_on_path.name} ({go_on_path.goroot})\n") == 1
    assert "golib: fuzz seed random" not in said
    [row] = [line for line in said.splitlines() if line.startswith("it  ")]
    assert row.split() == ["it", "2", "passed"]
    assert "\nnames" not in said


FIRST = """\
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc):
    metafunc.fixturenames.append("first")
    metafunc.parametrize("first", [1])
"""


def test_a_result_is_seen_whatever_the_id_of_its_test(elsewhere: Elsewhere) -> None:
    # The controller of xdist looks at ids for what it may build; the results are what it must not miss.
    elsewhere.write("test_it.py", USES_GOLIB)
    elsewhere.write("conftest.py", FIRST)
    status, said = elsewhere.run("2", "-v")
    assert status == 0, said
    assert "test_calls[1-go" in said
    assert "= Go's behaviour =" in said
    [row] = [line for line in said.splitlines() if line.startswith("it  ")]
    assert row.split() == ["it", "2", "passed"]


def test_a_fixture_that_is_asked_for_too_late_is_a_sentence(elsewhere: Elsewhere) -> None:
    elsewhere.write("test_it.py", "def test_it(request):\n    request.getfixturevalue('golib_check')\n")
    status, said = elsewhere.run("0")
    assert status == 1, said
    assert "name golib_check among the arguments of the test or of a fixture" in said
    assert "Traceback" not in said


# Beside other plugins.

USES_CHECK = """\

def test_soft(check, golib_check):
    check.equal(1, 1)
    golib_check(Go())
"""

FAILS_ONCE = """\

SEEN = []

def test_flaky(golib_check):
    golib_check(Go())
    SEEN.append(1)
    assert len(SEEN) > 1
"""


@WORKERS
def test_beside_pytest_replay(elsewhere: Elsewhere, workers: str) -> None:
    elsewhere.write("test_it.py", USES_GOLIB)
    elsewhere.write("test_names.py", OWN_NAMES)
    status, said = elsewhere.run(workers, "--replay-record-dir=recorded", plugins=("replay",))
    assert status == 0, said
    assert "5 passed" in said
    recorded = sorted((elsewhere.folder / "recorded").glob(".pytest-replay*.txt"))
    assert recorded
    status, said = elsewhere.run("0", f"--replay={recorded[0]}", plugins=("replay",))
    assert status == 0, said
    ran = {json.loads(line)["nodeid"] for line in recorded[0].read_text().splitlines()}
    assert f"{len(ran)} passed" in said


@WORKERS
def test_beside_pytest_check(elsewhere: Elsewhere, workers: str) -> None:
    elsewhere.write("test_it.py", USES_GOLIB + USES_CHECK)
    status, said = elsewhere.run(workers, plugins=("check",))
    assert status == 0, said
    assert "3 passed" in said


@WORKERS
def test_beside_pytest_randomly(elsewhere: Elsewhere, workers: str) -> None:
    elsewhere.write("test_it.py", USES_GOLIB)
    elsewhere.write("test_names.py", OWN_NAMES)
    status, said = elsewhere.run(workers, "--randomly-seed=3", plugins=("randomly",))
    assert status == 0, said
    assert "Using --randomly-seed=3" in said
    assert "5 passed" in said


@WORKERS
def test_beside_pytest_rerunfailures(elsewhere: Elsewhere, workers: str) -> None:
    elsewhere.write("test_it.py", USES_GOLIB + FAILS_ONCE)
    status, said = elsewhere.run(workers, "--reruns=1", "--golib-json=r.json", plugins=("rerunfailures",))
    assert status == 0, said
    assert "3 passed, 1 rerun" in said
    rows = json.loads((elsewhere.folder / "r.json").read_text())["results"]
    flaky = [row["status"] for row in rows if row["test"] == "test_it.py::test_flaky"]
    assert sorted(flaky) == ["passed", "rerun"], "a failure that was run again stays in sight"


def test_beside_all_of_them(elsewhere: Elsewhere) -> None:
    elsewhere.write("test_it.py", USES_GOLIB + USES_CHECK + FAILS_ONCE)
    elsewhere.write("test_names.py", OWN_NAMES)
    plugins = ("replay", "check", "randomly", "rerunfailures")
    status, said = elsewhere.run("2", "--reruns=1", plugins=plugins)
    assert status == 0, said
    assert "7 passed, 1 rerun" in said
