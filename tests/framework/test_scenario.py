"""A test of the user's own that runs in places on the stacks: what passes, and what a failure shows.

Each test here runs pytest in a process of its own.  The library under test is golib's own.
"""

from __future__ import annotations

import shlex
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import kinds
import pytest
from test_plugin import Run, Suite

from golib.door import Subject
from golib.toolchains import shipped

HEAD = """\
import ctypes
import os
import signal

import pytest

import golib
from golib.toolchains import build

mylib = golib.package(build.SEED)
"""

IN_A_CALLBACK = """
mylib = golib.package("./kinds")

def callback(number):
    raise ZeroDivisionError("in a callback")

@golib.everywhere(mylib, ["main", "native"])
def test_it(lib):
    lib.KVisit(1, lib.visit_fn(callback))
    assert False, "it came back"
"""

ELSEWHERE = """
mylib = golib.package("./kinds")

def callback(number):
    raise ZeroDivisionError("in a callback")

@golib.everywhere(mylib, ["main"])
def test_on_a_thread_of_gos(lib):
    lib.KVisitElsewhere(lib.visit_fn(callback))

@golib.everywhere(mylib, ["main"])
def test_by_ctypes(lib):
    library = ctypes.CDLL(lib.__file__)
    library.KVisit(1, ctypes.CFUNCTYPE(None, ctypes.c_int)(callback))
"""

SEEN = """
@golib.everywhere(mylib, ["native"])
def test_it(lib):
    print("before")
    lib.GoEmpty()
    seen = [1, 2]
    assert seen == [0, 1, 2]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    folder = tmp_path / "suite"
    folder.mkdir()
    return Suite(folder)


def run(suite: Suite, text: str, *arguments: str) -> Run:
    suite.write("test_it.py", HEAD + text)
    return suite.run(*arguments)


def test_an_assertion_in_the_child_is_shown_as_pytest_shows_one(suite: Suite) -> None:
    seen = run(suite, SEEN)
    assert seen.status == 1
    seen.says(
        ">       assert seen == [0, 1, 2]",
        "E       assert [1, 2] == [0, 1, 2]",
        "At index 0 diff: 1 != 0",
        "test_it.py:17: AssertionError",
        "Case(Thread(Python(call='test_it.py::test_it[native]'), stack=8388608))",
        "    before",
        "1 failed",
    )
    for ours in ("scenario.py", "program.py", "at_its_place"):
        assert ours not in seen.output, f"{ours} is in:\n{seen.output}"


def test_what_a_callback_raises_comes_out_of_the_export(suite: Suite) -> None:
    kinds.write_package(suite.folder / "kinds")
    seen = run(suite, IN_A_CALLBACK)
    seen.says(
        ">       lib.KVisit(1, lib.visit_fn(callback))",
        'raise ZeroDivisionError("in a callback")',
        "E       ZeroDivisionError: in a callback",
        "2 failed",
    )
    assert "it came back" not in seen.output.replace('assert False, "it came back"', "")


def test_what_any_other_callback_raises_is_raised_too(suite: Suite) -> None:
    kinds.write_package(suite.folder / "kinds")
    seen = run(suite, ELSEWHERE)
    assert seen.output.count("E       ZeroDivisionError: in a callback") == 2, seen.output
    seen.says("2 failed")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("ctypes.string_at(0)", "signal: died by SIGSEGV"),
        ("lib.GoF(1)", "fatal: panic: panic"),
        ("os._exit(0)", "lost: exit status 0 before the case had come to its end"),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])", "leaving in C: sigmask is 2048"),
    ],
    ids=["crash", "panic", "exit", "mask"],
)
def test_what_breaks_the_process_or_the_thread_is_said(suite: Suite, body: str, said: str) -> None:
    text = f"""
@golib.everywhere(mylib, "main")
def test_it(lib):
    {body}
"""
    seen = run(suite, text)
    seen.says(said, "Case(Python(call='test_it.py::test_it[main]'))", "1 failed")
    [again] = [line for line in seen.output.splitlines() if line.startswith("run it again: ")]
    second = suite.run(*shlex.split(again)[4:])
    second.says(said, "1 failed")


MARKS = """
@pytest.fixture
def number(tmp_path):
    yield len(list(tmp_path.iterdir()))

@pytest.fixture
def missing():
    pytest.skip("not today")

@pytest.fixture
def bad_end():
    yield
    raise ValueError("at the end")

@pytest.fixture
def bad_start():
    raise ValueError("at the start")

places = golib.everywhere(mylib, ["main", "hidden"])

@pytest.mark.parametrize("n", [1, 2])
@places
def test_passes(lib, n, number):
    lib.GoEmpty()
    assert number == 0 < n

@pytest.mark.skip(reason="why not")
@places
def test_skipped(lib): pass

@places
def test_skips(lib): pytest.skip("inside")

@places
def test_without(lib, missing): pass

@pytest.mark.xfail
@places
def test_fails(lib): assert lib.GoF(0) == "text"

@pytest.mark.xfail
@places
def test_dies(lib): os._exit(0)

@pytest.mark.xfail(strict=True)
@places
def test_passes_after_all(lib): pass

@places
def test_ends_badly(lib, bad_end): pass

@places
def test_begins_badly(lib, bad_start): pass

def test_plain(): pass
"""


@pytest.mark.parametrize("workers", ["0", "2"], ids=["no-xdist", "xdist"])
def test_fixtures_marks_and_parameters_mean_what_they_mean(suite: Suite, workers: str) -> None:
    seen = run(suite, MARKS, "-n", workers, "-rA", "--junitxml=j.xml")
    # Skipped: by mark, inside, by a fixture.  What ends badly has passed, and then there is an error.
    seen.says("4 failed, 7 passed, 6 skipped, 4 xfailed, 2 errors")
    seen.says("why not", "inside", "not today", "ValueError: at the end", "ValueError: at the start")
    seen.says("XPASS(strict)")
    root = ElementTree.parse(suite.folder / "j.xml").getroot()
    [found] = root.iter("testsuite")
    assert (found.get("failures"), found.get("errors"), found.get("skipped")) == ("4", "2", "10")


def test_places_are_chosen_by_k_and_the_last_failed_run_again(suite: Suite) -> None:
    text = """
@golib.everywhere(mylib, ["main", "native", "hidden"])
def test_it(lib, request):
    assert "native" not in request.node.name
"""
    cache = ("-p", "cacheprovider", "-o", "cache_dir=cache")
    run(suite, text, *cache).says("1 failed, 2 passed")
    suite.run(*cache, "--lf").says("1 failed")
    suite.run(*cache, "-k", "main or hidden").says("2 passed, 1 deselected")


def test_a_replay_calls_only_what_was_collected(suite: Suite) -> None:
    case = "Case(Thread(C(Python(call='test_it.py::test_it[native]'))))"
    seen = run(suite, SEEN, "test_it.py", "--golib-replay", case)
    seen.says("replay[", "E       assert [1, 2] == [0, 1, 2]", "1 failed", f"the case:\n    {case}")
    other = "Case(Python(call='os:abort'))"
    sentence = suite.run("test_it.py", "--golib-replay", other).refused()
    assert sentence.startswith(f"--golib-replay: {other}: call='os:abort' names no test of golib.everywhere")


@pytest.mark.parametrize(
    ("package", "places", "sentence"),
    [
        (
            'golib.package("gone")',
            "[]",
            "golib.package('gone'): 'gone' is no file, and no",
        ),
        ('golib.package(".")', "[]", "golib.package('.'): "),
        ('"./lib"', "[]", "golib.everywhere('./lib') over test_it: it takes what golib.package() returns"),
        ("mylib", "'nowhere'", "golib.everywhere(places='nowhere') over test_it: places are main, "),
    ],
)
def test_bad_input_is_one_sentence(suite: Suite, package: str, places: str, sentence: str) -> None:
    text = f"""
@golib.everywhere({package}, {places})
def test_it(lib): pass
"""
    assert run(suite, text).refused().startswith(sentence)


def test_a_test_without_the_argument_is_refused(suite: Suite) -> None:
    text = """
@golib.everywhere(mylib)
def test_it(): pass
"""
    assert "the test needs the argument 'lib'" in run(suite, text).refused()


def test_a_server_with_go_in_it_does_not_fork(suite: Suite, subject: Subject) -> None:
    suite.write("loads_go.py", f"import ctypes\nctypes.CDLL({str(subject.library.path)!r})\n")
    suite.environment["PYTHONPATH"] = str(suite.folder)
    seen = run(suite, SEEN, "-p", "loads_go")
    seen.says("ServerError: ", "must fork", "1 failed")


def test_go_in_the_test_file_or_its_conftest_comes_to_the_children_alone(
    suite: Suite, subject: Subject
) -> None:
    load = f"import ctypes\nctypes.CDLL({str(subject.library.path)!r})\n"
    suite.write("conftest.py", load)
    suite.write("mymodule.py", load)
    text = """
import decimal
import mymodule

@golib.everywhere(mylib, ["main", "native"])
def test_it(lib): lib.GoEmpty()
"""
    run(suite, text).says("2 passed")


AS_SHIPPED = """
mylib = golib.package("./libshipped.so")

@golib.everywhere(mylib, ["main", "python-64k", "foreign-above", "below-go", "trace"])
def test_it(lib, name):
    assert getattr(lib, name)(40, 2) == 42

@pytest.fixture
def name(): return "Add"

@golib.everywhere(mylib, "native")
def test_dies(lib): lib.Panic()
"""


def test_a_library_as_shipped_runs_in_the_places_that_need_no_go_of_golibs(
    suite: Suite, shipped_library: Path
) -> None:
    shutil.copy(shipped_library, suite.folder)
    # No Go is asked for, and none is needed.
    suite.environment["PATH"] = "/usr/bin:/bin"
    seen = run(suite, AS_SHIPPED, "-rs", "-o", "golib_required=false")
    seen.says(
        "1 failed, 3 passed, 2 skipped", "fatal: panic: as shipped", "not as shipped: only a library that"
    )
    seen.says(f"test_it.py::test_dies[native-libshipped-go{version_of(shipped_library)}]")


def version_of(library: Path) -> str:
    return shipped.read(library).release


def test_a_distribution_is_named_by_its_name(suite: Suite, shipped_library: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "mine-1.0.dist-info").mkdir(parents=True)
    shutil.copy(shipped_library, site / "libmine.so")
    (site / "mine-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (site / "mine-1.0.dist-info" / "RECORD").write_text("libmine.so,,\n")
    suite.environment["PYTHONPATH"] = str(site)
    seen = run(suite, AS_SHIPPED.replace('"./libshipped.so"', '"mine"'), "-k", "test_it and main")
    seen.says("1 passed")


def test_a_package_for_a_newer_go_is_a_skip(suite: Suite) -> None:
    kinds.write_package(suite.folder / "kinds")
    (suite.folder / "kinds" / "go.mod").write_text("module example.com/kinds\n\ngo 1.99\n")
    text = """
mylib = golib.package("./kinds")

@golib.everywhere(mylib, "main")
def test_it(lib): lib.KLen("")
"""
    run(suite, text, "-rs").says("1 skipped", "wants Go 1.99 or later, and go")


@pytest.mark.parametrize("workers", ["0", "2"], ids=["no-xdist", "xdist"])
@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "belongs to no module; give its folder a go.mod"),
        (
            {"go.mod": "module m\n", "m.go": "package other\n"},
            "is package other, and a library is made of a main",
        ),
        ({"go.mod": "module m\n", "m.go": "package main\nfunc main() {}\n"}, "exports no function to C"),
        (
            {
                "go.mod": "module m\n",
                "m.go": 'package main\nimport "C"\n//export F\nfunc F() { x }\nfunc main() {}\n',
            },
            "m.go:4:12: undefined: x",
        ),
    ],
    ids=["no-module", "not-main", "no-exports", "does-not-compile"],
)
def test_what_cannot_be_built_ends_the_run(
    suite: Suite, files: dict[str, str], sentence: str, workers: str
) -> None:
    (suite.folder / "lib").mkdir()
    (suite.folder / "lib" / "m.go").write_text("package main\n")
    for name, text in files.items():
        (suite.folder / "lib" / name).write_text(text)
    text = """
@golib.everywhere(golib.package("./lib"))
def test_it(lib): pass
"""
    seen = run(suite, text, "-n", workers)
    assert "cannot build" in seen.refused() or sentence in seen.refused()
    seen.says(sentence)
