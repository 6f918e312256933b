"""The walls of the house: what each module of golib may import and call.

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
SOURCES = {path.stem: path.read_text() for path in PACKAGE.glob("*.py")}

ORDER = (
    # The forked side: small, no third party, and nothing of the rest.
    *("calltree", "trace", "script", "legality", "binding", "child", "forkserver"),
    # Which Go, and what it builds.
    *("toolchain", "layout", "symbols", "build"),
    # What a run came to.
    *("model", "outcome", "known", "report"),
    # The door, and who goes through it.
    *("door", "reduce", "strategies", "fuzz", "plugin"),
)
"""A module imports only what stands before it.  A new one is to be given its place here."""

FORKED = frozenset(("calltree", "trace", "script", "legality", "binding", "child", "forkserver"))
"""What a fork server loads, and a forked child after it."""

PURE = frozenset(("calltree", "script", "legality", "model"))
"""No process, no clock, no Go: the same answer for the same arguments."""
NO_PROCESS = PURE | {"outcome", "known", "report", "strategies", "reduce"}
"""May read files and decode a wait status, but starts and watches nothing."""

OUTSIDE = frozenset(
    (
        *("os", "sys", "subprocess", "multiprocessing", "threading", "signal", "socket", "select"),
        *("time", "datetime", "random", "secrets", "uuid", "resource", "ctypes", "mmap", "asyncio"),
        *("tempfile", "shutil", "pathlib", "io", "platform"),
    )
)
PROCESSES = frozenset(("subprocess", "multiprocessing", "threading", "ctypes", "socket", "time", "asyncio"))

OWNERS = {
    "pytest": {"plugin"},
    "_pytest": set(),
    "xdist": set(),
    # toolchain and build run the go command, forkserver starts servers, plugin asks the C compiler its name.
    "subprocess": {"toolchain", "build", "forkserver", "plugin"},
    "multiprocessing": set(),
    "ctypes": {"trace", "binding", "forkserver"},
    "elftools": {"layout", "symbols"},
    "filelock": {"build", "fuzz"},
    "hypothesis": {"strategies", "fuzz"},
}
"""Who may import it."""

DANGERS = frozenset(
    (
        *("fork", "forkpty", "system", "popen", "posix_spawn", "posix_spawnp", "kill", "killpg"),
        *("wait", "waitpid", "waitid", "wait3", "wait4", "pidfd_open", "pidfd_send_signal"),
        *("execv", "execve", "execvp", "execvpe", "execl", "execle", "execlp", "spawnv", "spawnl"),
    )
)
"""Functions of os (and signal) that make, await or end a process: only forkserver calls them."""


class Module:
    """A module of golib, parsed."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.tree = ast.parse(source)
        self.imports = list(self._imports())

    def _imports(self) -> Iterator[tuple[str, int]]:
        """Full names of what is imported, with the line: ``golib.build``, ``os.fork``, ``subprocess``.
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
                base = ".".join(filter(None, ["golib" if node.level else "", node.module]))
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "importlib.import_module",
                "__import__",
            ):
                yield ast.unparse(node.args[0]).strip("'\""), node.lineno

    @property
    def ours(self) -> Iterator[tuple[str, int]]:
        """The modules of golib that it imports; a public name of the package comes from calltree."""
        for name, line in self.imports:
            first, _, rest = name.partition(".")
            if first == "golib":
                module = rest.partition(".")[0]
                yield (module if module in ORDER or module in SOURCES else "__init__"), line

    @property
    def others(self) -> Iterator[tuple[str, int]]:
        for name, line in self.imports:
            first = name.partition(".")[0]
            if first != "golib":
                yield first, line


def placed(module: Module) -> Iterator[str]:
    if module.name not in (*ORDER, "__init__"):
        yield f"golib/{module.name}.py has no place in ORDER"


def no_back_edges(module: Module) -> Iterator[str]:
    if module.name not in ORDER:
        return
    rank = ORDER.index(module.name)
    for name, line in module.ours:
        if name in ORDER and ORDER.index(name) >= rank:
            yield f"{module.name}:{line} imports {name}, which stands above it"


def package_is_light(module: Module) -> Iterator[str]:
    """``import golib`` runs in the fork server: at its top it loads calltree alone."""
    if module.name != "__init__":
        return
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom) and node.module not in ("__future__", "typing", "golib.calltree"):
            yield f"__init__:{node.lineno} imports {node.module}"
        if isinstance(node, ast.Import):
            yield f"__init__:{node.lineno} imports {node.names[0].name}"


def forked_side_is_small(module: Module) -> Iterator[str]:
    if module.name not in FORKED:
        return
    for name, line in module.ours:
        if name not in FORKED:
            yield f"{module.name}:{line} imports {name}, which no forked process needs"
    for name, line in module.others:
        if name not in sys.stdlib_module_names:
            yield f"{module.name}:{line} imports {name}, which is not of the standard library"


def pure_ones_are_pure(module: Module) -> Iterator[str]:
    banned = OUTSIDE if module.name in PURE else PROCESSES if module.name in NO_PROCESS else frozenset()
    for name, line in module.others:
        if name in banned:
            yield f"{module.name}:{line} imports {name}, and is pure"
    if module.name in NO_PROCESS:
        for name, line in module.ours:
            if name in ("binding", "child", "forkserver", "build", "door"):
                yield f"{module.name}:{line} imports {name}, and is pure"


def each_package_has_its_owner(module: Module) -> Iterator[str]:
    for name, line in module.others:
        if name in OWNERS and module.name not in OWNERS[name]:
            owners = ", ".join(sorted(OWNERS[name])) or "nobody"
            yield f"{module.name}:{line} imports {name}: that is for {owners}"


# pytest itself starts anew where it was given a path that it would misread, before it has done anything.
ALLOWED = {("plugin", "execv")}


def only_forkserver_forks_waits_and_kills(module: Module) -> Iterator[str]:
    if module.name == "forkserver":
        return
    for name, line in module.imports:
        if name in {f"os.{danger}" for danger in DANGERS}:
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


def only_binding_has_prototypes(module: Module) -> Iterator[str]:
    if module.name == "binding":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in (*PROTOTYPE, *LOADERS):
            yield f"{module.name}:{node.lineno} uses {node.attr}"
        if isinstance(node, ast.Name) and node.id in LOADERS:
            yield f"{module.name}:{node.lineno} uses {node.id}"
    for name, line in module.imports:
        if name.partition(".")[0] == "ctypes" and name.rpartition(".")[2] in LOADERS:
            yield f"{module.name}:{line} imports {name}"
    if module.name == "trace":
        return
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
    only_binding_has_prototypes,
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
    assert set(ORDER) <= set(SOURCES), "ORDER names a module that is gone"
    assert len(set(ORDER)) == len(ORDER)


@pytest.mark.parametrize(
    ("name", "source", "complaint"),
    [
        ("newcomer", "", "golib/newcomer.py has no place in ORDER"),
        ("calltree", "from golib.trace import Event", "calltree:1 imports trace, which stands above it"),
        ("calltree", "from golib import trace", "calltree:1 imports trace, which stands above it"),
        ("calltree", "from . import trace", "calltree:1 imports trace, which stands above it"),
        ("calltree", "from .trace import Event", "calltree:1 imports trace, which stands above it"),
        ("trace", "import golib.binding as b", "trace:1 imports binding, which stands above it"),
        ("binding", "def f():\n  from golib import child", "binding:2 imports child, which stands above it"),
        ("model", "from golib.outcome import Kind", "model:1 imports outcome, which stands above it"),
        ("outcome", "from golib import known", "outcome:1 imports known, which stands above it"),
        ("known", "from golib import report", "known:1 imports report, which stands above it"),
        ("report", "from golib import plugin", "report:1 imports plugin, which stands above it"),
        ("build", "from golib import door", "build:1 imports door, which stands above it"),
        ("__init__", "from golib.build import build", "__init__:1 imports golib.build"),
        ("__init__", "import os", "__init__:1 imports os"),
        ("child", "import pytest", "child:1 imports pytest, which is not of the standard library"),
        ("child", "from golib import build", "child:1 imports build, which no forked process needs"),
        (
            "forkserver",
            "from golib.model import Rule",
            "forkserver:1 imports model, which no forked process needs",
        ),
        ("binding", "import numpy", "binding:1 imports numpy, which is not of the standard library"),
        ("calltree", "import time", "calltree:1 imports time, and is pure"),
        ("model", "from datetime import datetime", "model:1 imports datetime, and is pure"),
        ("model", "import os", "model:1 imports os, and is pure"),
        ("outcome", "import subprocess", "outcome:1 imports subprocess, and is pure"),
        ("known", "import ctypes", "known:1 imports ctypes, and is pure"),
        ("report", "import time", "report:1 imports time, and is pure"),
        ("outcome", "from golib.forkserver import World", "outcome:1 imports forkserver, and is pure"),
        ("door", "import pytest", "door:1 imports pytest: that is for plugin"),
        ("report", "from _pytest import nodes", "report:1 imports _pytest: that is for nobody"),
        (
            "door",
            "import subprocess",
            "door:1 imports subprocess: that is for build, forkserver, plugin, toolchain",
        ),
        ("door", "__import__('subprocess')", "door:1 imports subprocess: "),
        ("build", "import ctypes", "build:1 imports ctypes: that is for binding, forkserver, trace"),
        ("child", "import os\nos.fork()", "child:2 uses os.fork"),
        ("child", "from os import fork", "child:1 imports os.fork"),
        ("door", "import os\nstop = os.killpg", "door:2 uses os.killpg"),
        ("plugin", "import os\nos.waitpid(1, 0)", "plugin:2 uses os.waitpid"),
        ("build", "import os\nos.system('go build')", "build:2 uses os.system"),
        ("trace", "f.argtypes = ()", "trace:1 uses argtypes"),
        ("forkserver", "import ctypes\nctypes.CDLL(None)", "forkserver:2 uses CDLL"),
        ("trace", "from ctypes import CDLL", "trace:1 imports ctypes.CDLL"),
        ("forkserver", "class S(ctypes.Structure): pass", "forkserver:1 lays out S"),
    ],
)
def test_a_planted_violation_is_found(name: str, source: str, complaint: str) -> None:
    assert any(found.startswith(complaint) for found in complaints(name, source)), complaints(name, source)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("plugin", "import pytest, subprocess\nfrom golib import known"),
        ("binding", "import ctypes\nlib = ctypes.CDLL(None)\nlib.f.argtypes = ()\nlib.f.restype = None"),
        ("trace", "import ctypes\nclass E(ctypes.Structure): pass"),
        ("forkserver", "import os\nos.fork()\nos.waitpid(1, 0)\nos.killpg(1, 9)"),
        ("outcome", "import os\nos.WIFSIGNALED(1)"),
        ("__init__", "from golib.calltree import Go\ndef open():\n  from golib.door import Subject"),
        ("calltree", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  from golib.trace import Event"),
        ("report", "class Structured: pass\nself.wait()\nrow.kill"),
    ],
)
def test_what_is_allowed_is_left_alone(name: str, source: str) -> None:
    assert complaints(name, source) == []


def test_a_conftest_imports_pytest_and_a_tool_of_the_package_does_not() -> None:
    # conftest.py files are the suite's own: they lie outside the package.
    assert not list(PACKAGE.rglob("conftest.py"))
    assert not list(PACKAGE.rglob("test_*.py"))
