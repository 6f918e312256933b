"""The walls of the house: what each folder of golib may import and call.

A rule is a function from a module's name and syntax tree to complaints.  Each is shown to find a
planted violation, so that a rule that has gone blind fails too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import golib

PACKAGE = Path(golib.__file__).parent
SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text()
    for path in PACKAGE.rglob("*.py")
}

FLOORS = (
    # What files say, which knows of nothing else.
    ("files",),
    # What happens on the stacks, and what may be called there; which Go, and what it builds.
    ("case",),
    ("toolchains",),
    # One case in one child.
    ("run",),
    # What a run came to.
    ("judge",),
    # What people read.
    ("show",),
    # The door, and who goes through it.
    ("door",),
    ("edges", "fuzz", "reduce", "reproduce", "footprint", "measure"),
    ("exhaustive", "hunt"),
    ("shards",),
    # pytest's side and the command: what is light, what is loaded when there is something to judge, and
    # what pytest and the shell call.
    ("options", "packages"),
    ("scenario", "bisection"),
    ("session",),
    ("validate", "audit", "search"),
    ("plugin", "commands"),
    ("__main__",),
)
"""A folder, or a module beside the folders, imports from its own and the floors below it only."""

FORKED = ("run", "case.calltree", "case.legality", "case.script", "case.prototype", "case.__init__")
"""What a fork server loads, and a forked child after it: small, no third party, and nothing of the rest."""

PURE = (
    "case.calltree",
    "case.every",
    "case.grammar",
    "case.legality",
    "case.novelty",
    "case.phrases",
    "case.places",
    "case.prototype",
    "case.schedules",
    "case.script",
    "judge.model",
)
"""No process, no clock, no Go: the same answer for the same arguments."""
NO_PROCESS = ("case", "files", "judge", "show", "reduce")
"""May read files and decode a wait status, but starts and watches nothing."""

OUTSIDE = frozenset(
    (
        *("os", "sys", "subprocess", "multiprocessing", "threading", "signal", "socket", "select"),
        *("time", "datetime", "random", "secrets", "uuid", "resource", "ctypes", "mmap", "asyncio"),
        *("tempfile", "shutil", "pathlib", "io", "platform"),
    )
)
PROCESSES = frozenset(("subprocess", "multiprocessing", "threading", "ctypes", "socket", "time", "asyncio"))

OWNERS: dict[str, tuple[str, ...]] = {
    "pytest": ("options", "packages", "scenario", "session", "plugin"),
    "_pytest": (),
    "xdist": (),
    # toolchains runs the go command, the fork server is started, session asks the C compiler its name,
    # validate runs pytest.
    "subprocess": ("toolchains", "run.forkserver", "session", "footprint", "validate", "search"),
    "multiprocessing": (),
    "ctypes": ("run",),
    "elftools": ("toolchains",),
    "filelock": ("toolchains", "fuzz"),
    "hypothesis": ("case.strategies",),
}
"""Who may import it: a folder, or a module."""

DANGERS = frozenset(
    (
        *("fork", "forkpty", "system", "popen", "posix_spawn", "posix_spawnp", "kill", "killpg"),
        *("wait", "waitpid", "waitid", "wait3", "wait4", "pidfd_open", "pidfd_send_signal"),
        *("execv", "execve", "execvp", "execvpe", "execl", "execle", "execlp", "spawnv", "spawnl"),
    )
)
"""Functions of os (and signal) that make, await or end a process: only the fork server calls them."""


def of(name: str, places: tuple[str, ...]) -> bool:
    """Whether a module is one of these, or lies in one of these folders."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def floor(name: str) -> int | None:
    return next((number for number, places in enumerate(FLOORS) if of(name, places)), None)


class Module:
    """A module of golib, parsed."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.tree = ast.parse(source)
        self.imports = list(self._imports())

    def _imports(self) -> Iterator[tuple[str, int]]:
        """Full names of what is imported, with the line: ``golib.run.trace``, ``os.fork``, ``subprocess``.
        What is for the type checker alone is not."""
        skipped = {
            id(inner)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.If)
            and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
            for statement in node.body
            for inner in ast.walk(statement)
        }
        for node in ast.walk(self.tree):
            if id(node) in skipped:
                continue
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                # "from . import x" in golib/case/y.py is golib.case.
                above = ["golib", *self.name.split(".")][: -node.level] if node.level else []
                base = ".".join(filter(None, [*above, node.module]))
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "importlib.import_module",
                "__import__",
            ):
                yield ast.unparse(node.args[0]).strip("'\""), node.lineno

    @property
    def ours(self) -> Iterator[tuple[str, int]]:
        """The modules of golib that it imports; a public name of the package stands in __init__."""
        for name, line in self.imports:
            first, _, rest = name.partition(".")
            if first == "golib":
                parts = rest.split(".")
                whole = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
                module = next(
                    (one for one in whole if one in SOURCES or f"{one}.__init__" in SOURCES), "__init__"
                )
                yield module, line

    @property
    def others(self) -> Iterator[tuple[str, int]]:
        for name, line in self.imports:
            first = name.partition(".")[0]
            if first != "golib":
                yield first, line


def placed(module: Module) -> Iterator[str]:
    if module.name != "__init__" and floor(module.name) is None:
        yield f"golib/{module.name.replace('.', '/')}.py stands on none of FLOORS"


def no_back_edges(module: Module) -> Iterator[str]:
    own = floor(module.name)
    if own is None:
        return
    for name, line in module.ours:
        other = floor(name)
        beside = other == own and name.partition(".")[0] != module.name.partition(".")[0]
        if other is not None and (other > own or (beside and "." in module.name)):
            yield f"{module.name}:{line} imports {name}, which stands {'beside' if beside else 'above'} it"


def package_is_light(module: Module) -> Iterator[str]:
    """``import golib`` runs in the fork server: at its top it loads calltree alone."""
    if module.name != "__init__":
        return
    for node in module.tree.body:
        light = ("__future__", "typing", "golib.case", "golib.case.calltree")
        if isinstance(node, ast.ImportFrom) and node.module not in light:
            yield f"__init__:{node.lineno} imports {node.module}"
        if isinstance(node, ast.Import):
            yield f"__init__:{node.lineno} imports {node.names[0].name}"


def forked_side_is_small(module: Module) -> Iterator[str]:
    if not of(module.name, FORKED):
        return
    for name, line in module.ours:
        if name not in ("__init__", "case") and not of(name, FORKED):
            yield f"{module.name}:{line} imports {name}, which no forked process needs"
    for name, line in module.others:
        if name not in sys.stdlib_module_names:
            yield f"{module.name}:{line} imports {name}, which is not of the standard library"


def pure_ones_are_pure(module: Module) -> Iterator[str]:
    pure, no_process = of(module.name, PURE), of(module.name, NO_PROCESS)
    banned = OUTSIDE if pure else PROCESSES if no_process else frozenset()
    for name, line in module.others:
        if name in banned:
            yield f"{module.name}:{line} imports {name}, and is pure"
    if no_process:
        for name, line in module.ours:
            if of(name, ("run", "toolchains.build", "door")) and name not in ("run", "run.trace"):
                yield f"{module.name}:{line} imports {name}, and is pure"


def each_package_has_its_owner(module: Module) -> Iterator[str]:
    for name, line in module.others:
        if name in OWNERS and not of(module.name, OWNERS[name]):
            owners = ", ".join(sorted(OWNERS[name])) or "nobody"
            yield f"{module.name}:{line} imports {name}: that is for {owners}"


# pytest itself starts anew where it was given a path that it would misread, before it has done anything, and
# the command that runs the suite becomes pytest.
ALLOWED = {("plugin", "execv"), ("commands", "execv")}


def only_forkserver_forks_waits_and_kills(module: Module) -> Iterator[str]:
    if module.name == "run.forkserver":
        return
    for name, line in module.imports:
        if name in {f"os.{danger}" for danger in DANGERS}:
            yield f"{module.name}:{line} imports {name}"
    for name, line in module.ours:
        if name == "run.launch":  # its fork() forks as well: who imports it must wait for the child
            yield f"{module.name}:{line} imports {name}"
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in DANGERS
            and (module.name, node.attr) not in ALLOWED
        ):
            whose = ast.unparse(node.value)
            if whose in ("os", "signal", "posix"):
                yield f"{module.name}:{node.lineno} uses {whose}.{node.attr}"


PROTOTYPE = ("argtypes", "restype", "errcheck")
LOADERS = ("CDLL", "PyDLL", "LoadLibrary", "CFUNCTYPE", "PYFUNCTYPE", "in_dll", "cdll", "pythonapi")


def prototypes_stand_in_one_room(module: Module) -> Iterator[str]:
    if of(module.name, ("run",)):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in (*PROTOTYPE, *LOADERS):
            yield f"{module.name}:{node.lineno} uses {node.attr}"
        if isinstance(node, ast.Name) and node.id in LOADERS:
            yield f"{module.name}:{node.lineno} uses {node.id}"
    for name, line in module.imports:
        if name.partition(".")[0] == "ctypes" and name.rpartition(".")[2] in LOADERS:
            yield f"{module.name}:{line} imports {name}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            for base in map(ast.unparse, node.bases):
                if base.rpartition(".")[2] in ("Structure", "Union"):
                    yield f"{module.name}:{node.lineno} lays out {node.name}"


RULES = (
    placed,
    no_back_edges,
    package_is_light,
    forked_side_is_small,
    pure_ones_are_pure,
    each_package_has_its_owner,
    only_forkserver_forks_waits_and_kills,
    prototypes_stand_in_one_room,
)


def complaints(name: str, source: str) -> list[str]:
    module = Module(name, source)
    return [complaint for rule in RULES for complaint in rule(module)]


@pytest.mark.parametrize(
    "name",
    sorted(SOURCES),
)
def test_a_module_keeps_to_its_place(name: str) -> None:
    assert not complaints(name, SOURCES[name])


def test_every_place_is_taken() -> None:
    for place in (place for places in FLOORS for place in places):
        assert any(of(name, (place,)) for name in SOURCES), f"{place} is gone"


def test_no_circle() -> None:
    """Also within a folder: what imports each other in a loop is one file in two."""
    imports = {
        name: {
            other if other in SOURCES else f"{other}.__init__"
            for other, _ in Module(name, source).ours
            if other != "__init__"
        }
        for name, source in SOURCES.items()
    }
    assert circle(imports) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]


def circle(imports: dict[str, set[str]]) -> list[str]:
    """A way from a module back to itself, or nothing."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        found = next(filter(None, (visit(other, [*way, name]) for other in sorted(imports[name]))), [])
        done.add(name)
        return found

    return next(filter(None, (visit(name, []) for name in sorted(imports))), [])


@pytest.mark.parametrize(
    ("name", "source", "complaint"),
    [
        (
            "files.folders",
            "from golib.judge import known",
            "files.folders:1 imports judge.known, which stands above it",
        ),
        ("files.images", "import subprocess", "1 imports subprocess, and is pure"),
        ("files.buildinfo", "import ctypes", "1 imports ctypes, and is pure"),
        ("newcomer", "", "golib/newcomer.py stands on none of FLOORS"),
        ("attic.newcomer", "", "golib/attic/newcomer.py stands on none of FLOORS"),
        (
            "case.calltree",
            "from golib.run.trace import Event",
            "case.calltree:1 imports run.trace, which stands above",
        ),
        (
            "case.calltree",
            "from golib.run import trace",
            "case.calltree:1 imports run.trace, which stands above it",
        ),
        (
            "case.calltree",
            "from ..run import trace",
            "case.calltree:1 imports run.trace, which stands above it",
        ),
        ("case.calltree", "from golib import door", "1 imports door, which stands above it"),
        (
            "case.script",
            "import golib.judge.model as m",
            "case.script:1 imports judge.model, which stands above it",
        ),
        (
            "case.script",
            "from golib.toolchains import build",
            "case.script:1 imports toolchains.build, which stands above it",
        ),
        (
            "run.binding",
            "def f():\n  from golib.judge import model",
            "run.binding:2 imports judge.model, which stands above",
        ),
        (
            "judge.outcome",
            "from golib.show import report",
            "judge.outcome:1 imports show.report, which stands above it",
        ),
        ("show.report", "from golib import plugin", "1 imports plugin, which stands above it"),
        (
            "toolchains.build",
            "from golib import door",
            "toolchains.build:1 imports door, which stands above it",
        ),
        ("__init__", "from golib.toolchains.build import build", "1 imports golib.toolchains.build"),
        ("__init__", "import os", "1 imports os"),
        ("run.child", "import pytest", "1 imports pytest, which is not of the standard library"),
        (
            "run.child",
            "from golib.toolchains import build",
            "run.child:1 imports toolchains.build, which no forked",
        ),
        (
            "run.program",
            "from golib.case import strategies",
            "run.program:1 imports case.strategies, which no forked",
        ),
        ("run.binding", "import numpy", "1 imports numpy, which is not of the standard library"),
        ("case.calltree", "import time", "1 imports time, and is pure"),
        ("case.novelty", "import random", "1 imports random, and is pure"),
        ("case.phrases", "import random", "1 imports random, and is pure"),
        ("case.places", "import os", "1 imports os, and is pure"),
        ("judge.model", "from datetime import datetime", "1 imports datetime, and is pure"),
        ("judge.model", "import os", "1 imports os, and is pure"),
        ("judge.outcome", "import subprocess", "1 imports subprocess, and is pure"),
        ("judge.known", "import ctypes", "1 imports ctypes, and is pure"),
        ("show.report", "import time", "1 imports time, and is pure"),
        (
            "judge.outcome",
            "from golib.run.forkserver import World",
            "judge.outcome:1 imports run.forkserver, and is",
        ),
        ("door", "import pytest", "1 imports pytest: that is for options, packages, plugin, scenario,"),
        ("show.report", "from _pytest import nodes", "1 imports _pytest: that is for nobody"),
        (
            "door",
            "import subprocess",
            "door:1 imports subprocess: that is for footprint, run.forkserver, search, session, toolchains",
        ),
        ("door", "__import__('subprocess')", "1 imports subprocess: "),
        ("toolchains.build", "import ctypes", "1 imports ctypes: that is for run"),
        ("run.child", "import os\nos.fork()", "2 uses os.fork"),
        ("run.child", "from os import fork", "1 imports os.fork"),
        ("door", "from golib.run import launch", "1 imports run.launch"),
        ("door", "from golib.run.launch import fork", "1 imports run.launch"),
        ("door", "import os\nstop = os.killpg", "2 uses os.killpg"),
        ("plugin", "import os\nos.waitpid(1, 0)", "2 uses os.waitpid"),
        ("toolchains.build", "import os\nos.system('go build')", "2 uses os.system"),
        ("door", "f.argtypes = ()", "1 uses argtypes"),
        ("judge.known", "import ctypes\nctypes.CDLL(None)", "2 uses CDLL"),
        ("toolchains.layout", "from ctypes import CDLL", "1 imports ctypes.CDLL"),
        ("door", "class S(ctypes.Structure): pass", "1 lays out S"),
    ],
)
def test_a_planted_violation_is_found(name: str, source: str, complaint: str) -> None:
    found = [one.removeprefix(f"{name}:") for one in complaints(name, source)]
    wanted = complaint.removeprefix(f"{name}:")
    assert any(one.startswith(wanted) for one in found), found


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("session", "import pytest, subprocess\nfrom golib.judge import known"),
        ("run.binding", "import ctypes\nlib = ctypes.CDLL(None)\nlib.f.argtypes = ()\nlib.f.restype = None"),
        ("run.trace", "import ctypes\nclass E(ctypes.Structure): pass"),
        (
            "run.forkserver",
            "import os\nfrom golib.run import launch\nos.fork()\nos.waitpid(1, 0)\nos.killpg(1, 9)",
        ),
        ("judge.outcome", "import os\nos.WIFSIGNALED(1)"),
        ("__init__", "from golib.case.calltree import Go\ndef open():\n  from golib.door import Subject"),
        (
            "case.calltree",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  from golib.run.trace import Event",
        ),
        ("show.report", "class Structured: pass\nself.wait()\nrow.kill"),
    ],
)
def test_what_is_allowed_is_left_alone(name: str, source: str) -> None:
    assert complaints(name, source) == []
