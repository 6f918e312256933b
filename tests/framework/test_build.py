"""What `golib.toolchains.build` builds, when it runs the go command, and what it leaves behind.

Libraries are built from a throw-away package, in a cache folder of the test's own. How often the go
command runs is counted by a GOROOT whose bin/go writes a line and then becomes the real one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import golib
from golib import Case, Go
from golib.run import forkserver
from golib.toolchains.build import (
    FLAGS,
    FLAVOURS,
    KEEP_DAYS,
    BuildError,
    FlagError,
    Library,
    OverlayError,
    build,
    check_flags,
    check_overlay,
    ignored,
)
from golib.toolchains.toolchain import Toolchain, resolve

# x_cgo_getstackbound guesses in the first, gives zeros in the second, and moved to another file in the third.
RELEASES = ("1.23.4", "go", "1.27.3")

ANSWER = """\
package main

import "C"

//export Answer
func Answer() C.int { return 42 }

func main() {}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "go.mod").write_text("module example/answer\n\ngo 1.21\n")
    (folder / "answer.go").write_text(ANSWER)
    return folder


@pytest.fixture
def on_path() -> Toolchain:
    return resolve([])[0][0]


class Counted:
    """A toolchain that counts how often its go command looks what a library is made of, and builds it."""

    def __init__(self, real: Toolchain, folder: Path) -> None:
        self.toolchain = Toolchain("counted", real.version, folder)
        self.real = real.go
        self._log = folder / "log"
        self._log.touch()
        self.toolchain.go.parent.mkdir(parents=True)
        self.becomes(f'exec {self.real} "$@"')

    def becomes(self, body: str) -> None:
        go = self.toolchain.go
        asked = f'[ "$1" = build ] || [ "$2" = -export ] || exec {self.real} "$@"'
        go.write_text(f"#!/bin/sh\necho $1 $2 >> {self._log}\n{asked}\n{body}\n")
        go.chmod(0o755)

    @property
    def looks(self) -> int:
        return self._log.read_text().count("list -export\n")

    @property
    def runs(self) -> int:
        return self._log.read_text().count("build ")


@pytest.fixture
def counted(on_path: Toolchain, tmp_path: Path) -> Counted:
    folder = tmp_path / "goroot"
    folder.mkdir()
    return Counted(on_path, folder)


def answer_of(library: Path) -> int:
    """Asked in a process of its own: a Go runtime stays for good."""
    code = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).Answer())"
    return int(subprocess.check_output([sys.executable, "-c", code, str(library)], text=True))


def asks(library: Library) -> bool:
    """Whether its runtime asks pthread_getattr_np: without glibc's branch nothing in it does."""
    case = Case(Go(), bounds="absent" if library.flavour == "absent" else "real")
    outcome = golib.open(library).run(case)
    return outcome.events[-1].queries > 0


def failure(call: Callable[[], object], kind: type[BuildError] = BuildError) -> str:
    with pytest.raises(BuildError) as caught:
        call()
    assert type(caught.value) is kind
    return str(caught.value)


# The library


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("release", RELEASES)
def test_a_library_is_built_and_described(package: Path, release: str, flavour: str) -> None:
    [toolchain], _ = resolve([release])
    library = build(toolchain, flavour=flavour, package=package)
    assert (library.toolchain, library.flavour) == (toolchain, flavour)
    assert "g.stack.lo" in library.layout.fields
    assert f"go{toolchain.version}".encode() in library.path.read_bytes()
    assert answer_of(library.path) == 42
    assert asks(library) == (flavour == "real")


def test_it_survives_the_way_to_a_worker(package: Path, on_path: Toolchain) -> None:
    library = build(on_path, package=package)
    assert Library.from_json(json.loads(json.dumps(library.to_json()))) == library


def test_the_users_settings_for_other_builds_do_no_harm(
    package: Path, on_path: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = build(on_path, package=package)
    for name, value in {
        "GOFLAGS": "-mod=vendor -ldflags=-s",
        "GOOS": "windows",
        "GOARCH": "arm64",
        "GOROOT": "/nonexistent",
        "GOTOOLCHAIN": "go1.23.4",
        "GOWORK": "/nonexistent/go.work",
        "GO111MODULE": "off",
        "CGO_ENABLED": "0",
    }.items():
        monkeypatch.setenv(name, value)
    assert build(on_path, package=package) == expected


def test_no_path_of_this_machine_is_in_it(package: Path, on_path: Toolchain) -> None:
    content = build(on_path, package=package).path.read_bytes()
    assert str(package).encode() not in content
    assert b"runtime/proc.go" in content
    assert f"{on_path.goroot}/src/runtime/proc.go".encode() not in content


def test_an_unknown_flavour_is_a_mistake_of_the_caller(package: Path, on_path: Toolchain) -> None:
    with pytest.raises(ValueError, match=r"^flavour 'musl' is none of real, absent$"):
        build(on_path, flavour="musl", package=package)


# Build flags


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_makes_another_library(package: Path, on_path: Toolchain, flag: str) -> None:
    plain = build(on_path, package=package, session="s")
    lines: list[str] = []
    other = build(on_path, package=package, flags=(flag,), session="s", progress=lines.append)
    assert other.path.parent != plain.path.parent
    assert (plain.flags, other.flags) == ((), (flag,))
    assert lines == [f"building package with {on_path.name} {flag} (real)"]
    assert Library.from_json(json.loads(json.dumps(other.to_json()))) == other
    # As the go command itself says it: in the library's build information.
    assert f"build\t{flag}=true".encode() in other.path.read_bytes()
    assert f"build\t{flag}=true".encode() not in plain.path.read_bytes()
    # And the session's stamp is that of this library.
    assert build(on_path, package=package, flags=(flag,), session="s", progress=lines.append) == other
    assert len(lines) == 1


def test_a_library_built_with_asan_names_what_must_be_loaded_first(package: Path, on_path: Toolchain) -> None:
    library = build(on_path, package=package, flags=("-asan",))
    assert Path(library.preload).is_file()
    assert Path(library.preload).name.startswith("libasan.so")
    assert build(on_path, package=package).preload == ""


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        (("-msan",), "build flag '-msan': golib builds with -race or -asan; name one of these"),
        (("race",), "build flag 'race': golib builds with -race or -asan; name one of these"),
        (("-race", "-asan"), "build flags -race -asan: the go command takes one of them; name one"),
    ],
)
def test_flags_that_cannot_be_had(package: Path, counted: Counted, flags: tuple[str, ...], rule: str) -> None:
    assert failure(lambda: check_flags(flags), FlagError) == rule
    assert failure(lambda: build(counted.toolchain, package=package, flags=flags), FlagError) == rule
    assert counted.runs == 0


# The user's environment


def test_what_is_not_honoured_of_the_environment_is_said() -> None:
    assert ignored({}) == []
    assert ignored({"GOFLAGS": "-race", "GOGC": "off", "GOMAXPROCS": "1", "PATH": "/bin"}) == [
        "GOFLAGS=-race is ignored: golib builds with its own flags, and --go-build names others",
        "GOMAXPROCS=1 is ignored: a case has its own, by gomaxprocs= in its world",
        "GOGC=off is ignored: a case runs with Go's default",
    ]
    assert ignored({"GOEXPERIMENT": "arenas"}) == [
        "GOEXPERIMENT=arenas is honoured: the libraries are built with it"
    ]


def test_what_is_what_golib_has_anyway_is_not_worth_a_word() -> None:
    assert ignored({"GOTOOLCHAIN": "local", "GOOS": "linux", "CGO_ENABLED": "1", "GOGC": ""}) == []


def test_all_that_a_fork_server_or_a_build_drops_is_named(package: Path, counted: Counted) -> None:
    for name in forkserver.GO_SETTINGS:
        assert len(ignored({name: "x"})) == 1
    counted.becomes("env; exit 1")
    said = failure(lambda: build(counted.toolchain, package=package))
    set_by_golib = {
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false",
        "GO111MODULE": "on",
        "GOWORK": "off",
        "GOOS": "linux",
        "GOARCH": "amd64",
    }
    for name, value in set_by_golib.items():
        assert f"\n{name}={value}\n" in f"\n{said}\n"
        assert len(ignored({name: "x"})) == 1


@pytest.mark.parametrize(
    ("name", "value", "reaches"),
    [
        ("GOEXPERIMENT", "cgocheck2", "cgocheck2"),
        ("GOAMD64", "v2", "v2"),
        ("CGO_CFLAGS", "-O1", "-O1 -g"),  # the prototypes of the exports stand in C's DWARF
    ],
)
def test_what_is_said_to_be_honoured_reaches_the_build(
    package: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reaches: str
) -> None:
    monkeypatch.setenv(name, value)
    counted.becomes("env; exit 1")
    assert f"\n{name}={reaches}\n" in failure(lambda: build(counted.toolchain, package=package))
    assert "is honoured" in ignored({name: value})[0]


# What cannot be built


def test_the_go_commands_own_words_are_in_the_error(package: Path, on_path: Toolchain) -> None:
    (package / "answer.go").write_text(ANSWER.replace("42", "fortyTwo"))
    message = failure(lambda: build(on_path, package=package))
    first, *output = message.splitlines()
    assert first == f"{on_path.name} cannot build {package}:"
    assert any(line.endswith("undefined: fortyTwo") for line in output)


def test_a_flood_of_words_is_bounded(package: Path, counted: Counted) -> None:
    counted.becomes("yes error | head -n 10000; exit 1")
    message = failure(lambda: build(counted.toolchain, package=package))
    assert len(message) < 5000
    assert message.startswith(f"{counted.toolchain.name} cannot build {package}:\nerror\n")
    assert message.endswith("… and 59999 characters in all")


def test_a_go_command_that_is_gone(package: Path, tmp_path: Path) -> None:
    toolchain = Toolchain("gone", "1.26.0", tmp_path / "gone")
    message = failure(lambda: build(toolchain, package=package))
    assert message.startswith(f"{toolchain.go} cannot be run in {package}: ")


def test_a_library_stripped_by_the_users_linker_flags(
    package: Path, on_path: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CGO_LDFLAGS", "-s")
    message = failure(lambda: build(on_path, package=package))
    assert message.startswith(f"{on_path.name} built a library without the runtime's layout: ")


def test_a_cache_that_cannot_be_used(
    package: Path, on_path: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GOLIB_CACHE", str(tmp_path / "file"))
    message = failure(lambda: build(on_path, package=package))
    assert message.startswith(f"the cache {tmp_path}/file/libraries/")
    assert message.endswith("; set GOLIB_CACHE to another folder")


# The flavour absent


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("", "no place"),
        ("x_cgo_getstackbound(uintptr bounds[2])\n{\n}\n", "no place"),
        ("other(void)\n{\n#if defined(__GLIBC__)\n#endif\n}\n", "no place"),
        (
            "x_cgo_getstackbound()\n{\n#if defined(__GLIBC__)\n#elif defined(__GLIBC__)\n}\n",
            "more than one place",
        ),
    ],
)
def test_absent_needs_one_place_to_edit(package: Path, counted: Counted, source: str, found: str) -> None:
    file = counted.toolchain.goroot / "src" / "runtime" / "cgo" / "gcc_stack_unix.c"
    file.parent.mkdir(parents=True)
    file.write_text(source)
    assert failure(lambda: build(counted.toolchain, flavour="absent", package=package)) == (
        f"the flavour absent of {counted.toolchain.name} needs exactly one #if defined(__GLIBC__) in "
        f"x_cgo_getstackbound, and {found} was found in "
        "src/runtime/cgo/gcc_stack_unix.c and src/runtime/cgo/pthread_unix.c"
    )
    assert counted.runs == 0


def test_absent_also_edits_what_the_users_overlay_brings(package: Path, tmp_path: Path) -> None:
    [toolchain], _ = resolve(["1.23.4"])
    name = "src/runtime/cgo/gcc_stack_unix.c"
    original = (toolchain.goroot / name).read_text()
    (tmp_path / "mine.c").write_text(f'{original}\nconst char golib_mark[] = "brought by the user";\n')
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"Replace": {f"$GOROOT/{name}": "mine.c"}}))
    real, absent = (
        build(toolchain, flavour=flavour, overlay=overlay, package=package) for flavour in FLAVOURS
    )
    for library in real, absent:
        assert b"brought by the user" in library.path.read_bytes()
    assert (asks(real), asks(absent)) == (True, False)


# The user's overlay


def test_an_overlay_replaces_and_removes_files(package: Path, on_path: Toolchain, tmp_path: Path) -> None:
    (package / "broken.go").write_text("package broken\n")
    (tmp_path / "other.go").write_text(ANSWER.replace("42", "43"))
    overlay = tmp_path / "overlay.json"
    replace = {str(package / "answer.go"): "other.go", str(package / "broken.go"): ""}
    overlay.write_text(json.dumps({"Replace": replace}))
    check_overlay(overlay)
    assert answer_of(build(on_path, overlay=overlay, package=package).path) == 43


def test_the_contents_of_an_overlay_count_not_its_name(
    package: Path, on_path: Toolchain, tmp_path: Path
) -> None:
    overlay, same, source = tmp_path / "overlay.json", tmp_path / "same.json", tmp_path / "other.go"
    for path in overlay, same:
        path.write_text(json.dumps({"Replace": {str(package / "answer.go"): "other.go"}}))
    source.write_text(ANSWER.replace("42", "43"))
    first = build(on_path, overlay=overlay, package=package, session="s")
    assert build(on_path, overlay=same, package=package, session="s") == first
    source.write_text(ANSWER.replace("42", "44"))
    second = build(on_path, overlay=overlay, package=package, session="s")
    assert (answer_of(first.path), answer_of(second.path)) == (43, 44)


FORM = 'must be of the form {"Replace": {"path": "path"}}, see `go help build`'


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("{", "is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", FORM),
        ("{}", FORM),
        ('{"Replace": ["a"]}', FORM),
        ('{"Replace": {"/a": 1}}', FORM),
        ('{"Replace": {"a.go": ""}}', "a.go must be an absolute path, or begin with $GOROOT/"),
        ('{"Replace": {"/a.go": "b.go"}}', "FOLDER/b.go, to replace /a.go, does not exist or cannot be read"),
    ],
)
def test_an_overlay_that_cannot_be_used(
    package: Path, counted: Counted, tmp_path: Path, text: str, rule: str
) -> None:
    overlay = tmp_path / "overlay.json"
    overlay.write_text(text)
    expected = f"overlay {overlay}: {rule.replace('FOLDER', str(tmp_path))}"
    assert failure(lambda: check_overlay(overlay), OverlayError) == expected
    assert (
        failure(lambda: build(counted.toolchain, overlay=overlay, package=package), OverlayError) == expected
    )
    assert counted.runs == 0


def test_an_overlay_that_is_not_there(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.json"
    expected = f"overlay {overlay}: cannot be read: No such file or directory"
    assert failure(lambda: check_overlay(overlay), OverlayError) == expected


# The cache


def test_a_session_runs_the_go_command_once(package: Path, counted: Counted) -> None:
    lines: list[str] = []
    libraries = [
        build(counted.toolchain, package=package, session=session, progress=lines.append)
        for session in ("one", "one", "two", "one", "two", "three")
    ]
    assert (counted.looks, counted.runs) == (2, 2)
    assert lines == [f"building package with {counted.toolchain.name} (real)"] * 3
    assert len(set(map(repr, libraries))) == 1


def test_without_a_session_the_go_command_decides_each_time(package: Path, counted: Counted) -> None:
    first = build(counted.toolchain, package=package)
    assert build(counted.toolchain, package=package) == first
    assert build(counted.toolchain, package=package) == first
    assert (counted.looks, counted.runs) == (2, 2)


def test_a_change_that_no_importer_notices_makes_another_library(package: Path, counted: Counted) -> None:
    """The compiler reads of an import what it exports, and not what its functions do."""
    for name, imports, body in (("near", 'import "example/answer/far"', "far.Answer()"), ("far", "", "42")):
        (package / name).mkdir()
        source = f"package {name}\n{imports}\n\n//go:noinline\nfunc Answer() int {{ return {body} }}\n"
        (package / name / f"{name}.go").write_text(source)
    main = ANSWER.replace('import "C"', 'import "C"\nimport "example/answer/near"')
    (package / "answer.go").write_text(main.replace("42", "C.int(near.Answer())"))
    _, first = (build(counted.toolchain, package=package) for _ in range(2))
    far = package / "far" / "far.go"
    far.write_text(far.read_text().replace("42", "43"))
    second = build(counted.toolchain, package=package)
    assert (answer_of(first.path), answer_of(second.path)) == (42, 43)
    far.write_text(far.read_text().replace("43", "42"))
    assert build(counted.toolchain, package=package) == first
    assert (counted.looks, counted.runs) == (3, 3)


def test_another_linker_makes_another_library(package: Path, counted: Counted) -> None:
    link = counted.toolchain.goroot / "pkg" / "tool" / "linux_amd64" / "link"
    link.parent.mkdir(parents=True)
    for content in ("one", "one", "one", "another"):
        link.write_text(content)
        os.utime(link, (0, 0))
        build(counted.toolchain, package=package)
    assert (counted.looks, counted.runs) == (3, 3)


def test_where_go_cannot_say_what_a_library_is_made_of_it_is_built_each_time(
    package: Path, counted: Counted
) -> None:
    counted.becomes(f'[ "$1" = build ] || exit 1\nexec {counted.real} "$@"')
    for answer in ("42", "42", "43", "44"):
        (package / "answer.go").write_text(ANSWER.replace("42", answer))
        assert answer_of(build(counted.toolchain, package=package).path) == int(answer)
    assert (counted.looks, counted.runs) == (3, 4)


def builder(counted: Counted, package: Path) -> subprocess.Popen[str]:
    """Another process that builds, in the session "shared", and prints the library's path."""
    code = """\
        import json, pathlib, sys
        from golib.toolchains.build import build
        from golib.toolchains.toolchain import Toolchain
        toolchain = Toolchain.from_json(json.loads(sys.argv[1]))
        print(build(toolchain, package=pathlib.Path(sys.argv[2]), session="shared").path)
    """
    arguments = [json.dumps(counted.toolchain.to_json()), str(package)]
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env=os.environ | {"PYTHONPATH": root},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_building_the_same_at_once_build_it_once(package: Path, counted: Counted) -> None:
    builders = [builder(counted, package) for _ in range(3)]
    paths = {process.communicate()[0] for process in builders}
    assert [process.returncode for process in builders] == [0, 0, 0]
    assert counted.runs == 1
    assert len(paths) == 1
    assert answer_of(Path(paths.pop().strip())) == 42


def test_a_build_killed_half_way_leaves_nothing_that_counts(
    package: Path, counted: Counted, cache: Path
) -> None:
    # The go command writes half a library and then kills the Python process that waits for it.
    counted.becomes('while [ "$1" != -o ]; do shift; done; echo half > "$2"; kill -KILL $PPID')
    process = builder(counted, package)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    [half] = cache.glob("libraries/*/build-*/libgolib.so")
    assert not list(cache.glob("libraries/*/libgolib-*"))
    counted.becomes(f'exec {counted.real} "$@"')
    library = build(counted.toolchain, package=package, session="shared")
    assert answer_of(library.path) == 42
    assert not half.exists()
    assert not list(cache.glob("libraries/*/build-*"))


def test_a_failed_build_leaves_nothing(package: Path, counted: Counted, cache: Path) -> None:
    counted.becomes("exit 1")
    failure(lambda: build(counted.toolchain, package=package, session="s"))
    assert sorted(path.name for path in cache.glob("libraries/*/*")) == ["lock", "overlay"]


def test_a_changed_source_makes_another_library_and_spares_the_old(package: Path, on_path: Toolchain) -> None:
    first = build(on_path, package=package, session="one")
    (package / "answer.go").write_text(ANSWER.replace("42", "43"))
    assert build(on_path, package=package, session="one") == first
    second = build(on_path, package=package, session="two")
    assert second.path != first.path
    assert (answer_of(first.path), answer_of(second.path)) == (42, 43)


def test_the_layout_is_read_again_only_for_another_content(
    package: Path, on_path: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(on_path, package=package)
    monkeypatch.setattr("golib.toolchains.layout.read", lambda path: pytest.fail(f"read {path} again"))
    assert build(on_path, package=package).layout == first.layout
    (package / "answer.go").write_text(ANSWER.replace("42", "43"))
    with pytest.raises(pytest.fail.Exception, match=r"^read .*/libgolib\.so again$"):
        build(on_path, package=package)


def test_a_library_that_somebody_removed_is_built_again(package: Path, counted: Counted) -> None:
    library = build(counted.toolchain, package=package, session="s")
    library.path.unlink()
    assert build(counted.toolchain, package=package, session="s") == library
    assert library.path.exists()
    assert counted.runs == 2


def test_what_nobody_used_for_long_is_removed(package: Path, on_path: Toolchain, cache: Path) -> None:
    old, young = (build(on_path, flavour=flavour, package=package, session="s") for flavour in FLAVOURS)
    then = time.time() - (KEEP_DAYS * 24 + 1) * 60 * 60
    for path in old.path.parent.iterdir():
        os.utime(path, (then, then))
    build(on_path, flavour="absent", package=package, session="t")
    assert old.path.exists()  # they have just been looked for
    swept = old.path.parents[1] / "swept"
    os.utime(swept, (then, then))
    build(on_path, flavour="absent", package=package, session="u")
    assert young.path.exists()
    assert sorted(path.name for path in old.path.parent.iterdir()) == ["lock", "overlay"]
    assert build(on_path, package=package, session="s") == old


def test_the_cache_is_below_the_users_unless_told_otherwise(
    package: Path, counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOLIB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GOCACHE", str(tmp_path / "gocache"))
    counted.becomes("env; exit 1")
    message = failure(lambda: build(counted.toolchain, package=package))
    assert f"GOMODCACHE={tmp_path}/home/golib/modules\n" in message
    assert f"GOCACHE={tmp_path}/gocache\n" in message
    assert list(tmp_path.glob("home/golib/libraries/*/lock"))
