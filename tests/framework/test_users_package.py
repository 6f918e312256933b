"""Any Go main package gets the bridge linked in, as it lies there, and nothing of it is changed.

The packages are small real ones, built by the Go on PATH and driven through the ordinary door: what an export
of theirs returns is asked in a process of its own, a case shows that the bridge is in the same library.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import golib
from golib import C, Case, Go
from golib.judge.outcome import Kind
from golib.toolchains.build import BuildError, Library, NewerError, PackageError, build
from golib.toolchains.toolchain import Toolchain, resolve

MAIN = """\
package main

import "C"

//export Answer
func Answer() C.int { return %s }

func main() {}
"""

SHOWN = """\
int hiddenAnswer(void);

__attribute__((visibility("default"))) int Answer(void) { return hiddenAnswer(); }
"""
"""The C of a library that is built with -fvisibility=hidden, which hides cgo's exports, too."""

DEPENDENCY = "package dep\n\nfunc Answer() int { return %d }\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def lay(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def answer_of(library: Library) -> int:
    """Asked in a process of its own: a Go runtime stays for good."""
    code = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).Answer())"
    return int(subprocess.check_output([sys.executable, "-c", code, str(library.path)], text=True))


def built(toolchain: Toolchain, root: Path, package: str = ".", ldflags: str = "") -> Library:
    """The library, in which golib's cases run, too.  Nothing in the folder has changed."""
    before = contents(root)
    library = build(toolchain, package=root / package, ldflags=ldflags)
    assert contents(root) == before
    outcome = golib.open(library).run(Case(C(Go())))
    # An old release has its known faults, but comes to the end of the case.
    assert outcome.kind in (Kind.PASSED, Kind.DIVERGENCE), outcome
    assert len(outcome.events) == 6
    return library


def module(path: str, go: str = "1.21", more: str = "") -> str:
    return f"module {path}\n\ngo {go}\n{more}"


RELEASES = ("1.21.0", "1.23.4", "go")
"""The oldest that golib takes, one before workspaces and vendor folders were joined more strictly, and the
one on PATH."""


@pytest.mark.parametrize("version", ["1.16", "1.21"])
@pytest.mark.parametrize("release", RELEASES)
def test_a_module_of_whatever_language_version(tmp_path: Path, release: str, version: str) -> None:
    [toolchain], _ = resolve([release])
    root = lay(tmp_path / "user", {"go.mod": module("example/user", version), "main.go": MAIN % 42})
    assert answer_of(built(toolchain, root)) == 42


def test_a_module_that_is_called_golib(go_on_path: Toolchain, tmp_path: Path) -> None:
    files = {
        "go.mod": module("golib"),
        "bridge/bridge.go": DEPENDENCY.replace("dep", "bridge") % 41,
        "main.go": (MAIN % "C.int(bridge.Answer())").replace('"C"', '"C"\nimport "golib/bridge"'),
    }
    assert answer_of(built(go_on_path, lay(tmp_path / "user", files))) == 41


def test_a_package_in_a_subfolder_and_a_path_with_spaces(go_on_path: Toolchain, tmp_path: Path) -> None:
    files = {
        "go.mod": module("example/user"),
        "dep/dep.go": DEPENDENCY % 40,
        "cmd/the lib/main.go": (MAIN % "C.int(dep.Answer())").replace(
            '"C"', '"C"\nimport "example/user/dep"'
        ),
    }
    # No go command builds a package whose own folder has a space in its name.
    files["cmd/lib/main.go"] = files.pop("cmd/the lib/main.go")
    assert answer_of(built(go_on_path, lay(tmp_path / "a user's folder", files), "cmd/lib")) == 40


def uses_dep(module_path: str = "example.com/dep") -> str:
    return (MAIN % "C.int(dep.Answer())").replace('"C"', f'"C"\nimport dep "{module_path}"')


def test_a_replaced_module_beside_it(go_on_path: Toolchain, tmp_path: Path) -> None:
    more = "\nrequire example.com/dep v1.0.0\n\nreplace example.com/dep => ../dep of mine\n"
    root = lay(
        tmp_path / "both",
        {
            "user/go.mod": module("example/user", more=more.replace("../dep of mine", '"../dep of mine"')),
            "user/main.go": uses_dep(),
            "dep of mine/go.mod": module("example.com/dep"),
            "dep of mine/dep.go": DEPENDENCY % 39,
        },
    )
    assert answer_of(built(go_on_path, root, "user")) == 39


@pytest.mark.parametrize("version", ["1.16", "1.21"])
@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("release", RELEASES)
def test_a_vendor_folder_with_a_patch_in_it(
    tmp_path: Path, release: str, version: str, replaced: bool
) -> None:
    [toolchain], _ = resolve([release])
    # The module itself can be had nowhere: what is built is what lies in the folder.
    to = " => example.com/fork v1.2.0" if replaced else ""
    more = "\nrequire example.com/dep v1.0.0\n" + (
        f"\nreplace example.com/dep v1.0.0{to}\n" if replaced else ""
    )
    listed = f"# example.com/dep v1.0.0{to}\n## explicit; go 1.17\nexample.com/dep\n"
    if replaced:
        listed += f"# example.com/dep v1.0.0{to}\n"
    root = lay(
        tmp_path / "user",
        {
            "go.mod": module("example/user", version, more),
            "main.go": uses_dep(),
            "vendor/modules.txt": listed,
            "vendor/example.com/dep/dep.go": DEPENDENCY % 38,
        },
    )
    assert answer_of(built(toolchain, root)) == 38


@pytest.mark.parametrize(
    ("release", "vendored", "replaced"),
    # Workspaces have vendor folders since Go 1.22.
    [
        ("1.21.0", False, False),
        ("1.21.0", False, True),
        ("1.23.4", True, False),
        ("go", False, False),
        ("go", False, True),
        ("go", True, False),
    ],
)
def test_a_workspace(tmp_path: Path, release: str, vendored: bool, replaced: bool) -> None:
    [toolchain], _ = resolve([release])
    require = "\nrequire example.com/sibling v0.0.0\n"
    files = {
        "go.work": f"go {'1.22' if vendored else '1.21'}\n\nuse (\n\t./user\n\t./sibling\n)\n",
        "user/go.mod": module("example/user", more=require),
        "user/main.go": uses_dep("example.com/sibling"),
        "sibling/go.mod": module("example.com/sibling"),
        "sibling/dep.go": DEPENDENCY % 37,
    }
    if replaced:
        files["go.work"] += "\nreplace example.com/sibling => ./other\n"
        files["go.work"] = files["go.work"].replace("\t./sibling\n", "")
        files["other/go.mod"], files["other/dep.go"] = (
            files.pop("sibling/go.mod"),
            files.pop("sibling/dep.go"),
        )
    if vendored:
        files["user/go.mod"] = module("example/user")
        files["sibling/go.mod"] += "\nrequire example.com/dep v1.0.0\n"
        files["sibling/dep.go"] = (
            'package dep\n\nimport "example.com/dep"\n\nfunc Answer() int { return dep.Answer() }\n'
        )
        files["vendor/modules.txt"] = "## workspace\n# example.com/dep v1.0.0\n## explicit\nexample.com/dep\n"
        files["vendor/example.com/dep/dep.go"] = DEPENDENCY % 37
    assert answer_of(built(toolchain, lay(tmp_path / "all", files), "user")) == 37


def test_somebody_elses_workspace_further_up(go_on_path: Toolchain, tmp_path: Path) -> None:
    files = {
        "go.work": "go 1.21\n\nuse ./other\n",
        "other/go.mod": module("example/other"),
        "user/go.mod": module("example/user"),
        "user/main.go": MAIN % 36,
    }
    assert answer_of(built(go_on_path, lay(tmp_path / "all", files), "user")) == 36


def test_the_users_own_cgo_flags(go_on_path: Toolchain, tmp_path: Path) -> None:
    preamble = (
        "// #cgo CFLAGS: -fvisibility=hidden -DANSWER=35 -Iour\n"
        "// #cgo LDFLAGS: -lm\n"
        '// #include "answer.h"\n'
        "// #include <math.h>\n"
        'import "C"'
    )
    files = {
        "go.mod": module("example/user"),
        "our/answer.h": "static int answer(void) { return ANSWER; }\n",
        "main.go": (MAIN.replace("Answer", "hiddenAnswer") % "C.answer() + C.int(C.floor(0.5))").replace(
            'import "C"', preamble
        ),
        "answer.c": SHOWN,
    }
    assert answer_of(built(go_on_path, lay(tmp_path / "user", files))) == 35


@pytest.mark.parametrize("flags", ["-O2 -fvisibility=hidden", "-O0"])
def test_cgo_flags_in_the_environment(
    go_on_path: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str
) -> None:
    monkeypatch.setenv("CGO_CFLAGS", flags)
    main = (MAIN % 34).replace("Answer", "hiddenAnswer")
    root = lay(tmp_path / "user", {"go.mod": module("example/user"), "main.go": main, "answer.c": SHOWN})
    assert answer_of(built(go_on_path, root)) == 34


@pytest.mark.parametrize("more", ["", " -s -w", " -extldflags=-Wl,--build-id=none"])
def test_linker_flags(go_on_path: Toolchain, tmp_path: Path, more: str) -> None:
    files = {
        "go.mod": module("example/user"),
        "main.go": (MAIN % "C.int(len(said))").replace("//export", 'var said = ""\n\n//export'),
    }
    root = lay(tmp_path / "user", files)
    assert answer_of(built(go_on_path, root)) == 0
    assert answer_of(built(go_on_path, root, ldflags=f"-X main.said=golib{more}")) == 5


def test_exports_of_a_package_that_it_imports(go_on_path: Toolchain, tmp_path: Path) -> None:
    files = {
        "go.mod": module("example/user"),
        "api/api.go": (MAIN % 33).replace("package main", "package api").replace("func main() {}\n", ""),
        "main.go": 'package main\n\nimport _ "example/user/api"\n\nfunc main() {}\n',
    }
    assert answer_of(built(go_on_path, lay(tmp_path / "user", files))) == 33


# What cannot be built


def complaint(toolchain: Toolchain, package: Path, kind: type[BuildError]) -> str:
    with pytest.raises(BuildError) as caught:
        build(toolchain, package=package)
    assert type(caught.value) is kind
    return str(caught.value).replace(str(package), "FOLDER")


def test_a_folder_that_is_not_there(go_on_path: Toolchain, tmp_path: Path) -> None:
    assert complaint(go_on_path, tmp_path / "nowhere", PackageError) == (
        "package FOLDER: is no folder; name the folder of a Go main package"
    )


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({"readme": ""}, "belongs to no module; give its folder a go.mod"),
        (
            {"go.mod": module("example/user"), "readme": ""},
            "no Go files in FOLDER; name the folder of a Go main package",
        ),
        (
            {"go.mod": module("example/user"), "dep.go": DEPENDENCY % 1},
            "is package dep, and a library is made of a main package; name the folder of that",
        ),
        (
            {"go.mod": module("example/user"), "main.go": "package main\n\nfunc main() {}\n"},
            "exports no function to C, nor does what it imports;"
            ' write import "C", and //export NAME in the line above a function',
        ),
        (
            {"go.mod": module("example/user"), "main.go": MAIN.replace("//export", "// export") % 1},
            "exports no function to C, nor does what it imports;"
            ' write import "C", and //export NAME in the line above a function',
        ),
    ],
    ids=["no module", "no Go", "not main", "no cgo", "no export"],
)
def test_what_is_no_library(go_on_path: Toolchain, tmp_path: Path, files: dict[str, str], rule: str) -> None:
    root = lay(tmp_path / "user", files)
    assert complaint(go_on_path, root, PackageError) == f"package FOLDER: {rule}"


def test_what_does_not_compile_is_told_in_the_compilers_words(go_on_path: Toolchain, tmp_path: Path) -> None:
    root = lay(tmp_path / "user", {"go.mod": module("example/user"), "main.go": MAIN % "fortyTwo"})
    first, *rest = complaint(go_on_path, root, BuildError).splitlines()
    assert first == f"{go_on_path.name} cannot build FOLDER:"
    assert any(re.search(r"main\.go:6:\d+: undefined: fortyTwo$", line) for line in rest)


def test_a_syntax_error(go_on_path: Toolchain, tmp_path: Path) -> None:
    root = lay(tmp_path / "user", {"go.mod": module("example/user"), "main.go": MAIN % "{"})
    assert "main.go:6:" in complaint(go_on_path, root, BuildError)


@pytest.mark.parametrize("release", ["1.21.0", "1.27.4"])
@pytest.mark.parametrize("where", ["module", "workspace", "dependency"])
def test_a_module_that_wants_a_newer_go(tmp_path: Path, release: str, where: str) -> None:
    [toolchain], _ = resolve([release])
    new, old = "1.99", "1.21"
    files = {
        "user/go.mod": module("example/user", new if where != "dependency" else old),
        "user/main.go": MAIN % 1,
    }
    if where == "workspace":
        files["go.work"] = f"go {new}\n\nuse ./user\n"
    if where == "dependency":
        files["user/go.mod"] += "\nrequire example.com/dep v1.0.0\n\nreplace example.com/dep => ../dep\n"
        files["user/main.go"] = uses_dep()
        files |= {"dep/go.mod": module("example.com/dep", new), "dep/dep.go": DEPENDENCY % 1}
    root = lay(tmp_path / "all", files)
    assert complaint(toolchain, root / "user", NewerError) == (
        f"package FOLDER: wants Go 1.99 or later, and {toolchain.name} is Go {release}"
    )
