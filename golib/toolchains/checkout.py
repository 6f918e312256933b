"""A git repository that holds the sources of a Go -> a GOROOT with the sources of any of its commits, and
``git bisect run`` over them.

The repository may be a checkout of Go, or hold ``src`` alone, below or as its top folder.  It is cloned, with
the objects of the original, so that nothing of the user's is changed.  Each commit is compiled by a toolchain
that exists already (``bin`` and ``pkg`` of a GOROOT: it is enough where only the library has changed, and
takes seconds), or is built whole by its own make.bash, in some minutes.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from golib.toolchains.toolchain import SpecError, Toolchain

MAKE_SECONDS = 3600
"""For make.bash, which takes two to five minutes on two cores."""

_GENERATED = ("zbootstrap.go", "zversion.go", "zcgo.go", "zdefaultcc.go")
"""What make.bash writes into src, and a fresh checkout has not (src/cmd/dist/build.go, gentab)."""

_WORDS = 300
"""Of what make.bash said last, bytes."""


class CommitError(Exception):
    """This commit does not build: one sentence."""


@dataclass(frozen=True)
class Clone:
    """The sources, where they can be checked out."""

    work: Path
    """Top folder of the clone."""
    goroot: Path
    toolchain: Toolchain | None
    """What compiles them; without one, make.bash."""

    def commit(self, name: str) -> str:
        """The full hash.  Raises SpecError."""
        answer = _git(self.work, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if answer.returncode != 0:
            raise SpecError(f"{name}: the repository has no such commit; name a hash, a tag or a branch")
        return answer.stdout.strip()

    def title(self, commit: str) -> str:
        """Its short hash and the first line of its message."""
        return _must(self.work, "log", "-1", "--format=%h %s", commit)

    def is_ancestor(self, one: str, of: str) -> bool:
        return _git(self.work, "merge-base", "--is-ancestor", one, of).returncode == 0

    def distance(self, one: str, other: str) -> int:
        """How many commits lie on the way to ``other``, itself among them."""
        return int(_must(self.work, "rev-list", "--count", f"{one}..{other}"))

    def check_out(self, commit: str) -> None:
        _must(self.work, "checkout", "--quiet", "--force", "--detach", commit)

    def bisect(
        self, old: str, new: str, command: Sequence[str], begin: Callable[[], object] | None = None
    ) -> str:
        """``git bisect run``: what git said on stdout; what the command says on stderr goes to this process's
        stdout.  The exit status of the command is 0 for a commit that is as
        ``old`` is, 1 for one as ``new`` is, 125 for one that says nothing, 128 and more to stop.  ``begin``
        is called in git's process before it begins."""
        _must(self.work, "bisect", "start", "--term-old=old", "--term-new=new", new, old)
        return _git(self.work, "bisect", "run", *command, stderr=1, begin=begin).stdout

    def last(self) -> list[str]:
        """After ``bisect``: the commits one of which is the first that is as the new end is."""
        new = _must(self.work, "rev-parse", "refs/bisect/new")
        old = _must(self.work, "for-each-ref", "--format=^%(objectname)", "refs/bisect/old-*").split()
        return _must(self.work, "rev-list", new, *old).split()


def clone(repository: Path, folder: Path, toolchain: Toolchain | None) -> Clone:
    """Clones it into ``folder``.  Raises SpecError where it is no repository with the sources of a Go."""
    sources = repository / "src"
    if not (sources / "runtime").is_dir():
        raise SpecError(
            f"--goroot {repository}: it has no src/runtime; name a git checkout of Go, or what has its src"
        )
    answer = _git(sources, "rev-parse", "--show-toplevel")
    if answer.returncode != 0:
        raise SpecError(f"--goroot {repository}: it is no git repository; run git init and commit there")
    top = Path(answer.stdout.strip())
    inside = sources.resolve().relative_to(top.resolve())
    work = folder / "goroot" / "src" if inside == Path() else folder / "goroot"
    work.parent.mkdir(parents=True, exist_ok=True)
    _must(folder, "clone", "--quiet", "--shared", "--no-checkout", str(top), str(work))
    # The clone has the branches of the original as origin/NAME, and its own names are the user's.
    _must(work, "fetch", "--quiet", "origin", "refs/heads/*:refs/heads/*", "--update-head-ok")
    goroot = (work / inside).parent
    made = Clone(work, goroot, toolchain)
    if toolchain is None and not (sources / "make.bash").is_file():
        raise SpecError(
            f"--goroot {repository}: it has neither bin/go nor src/make.bash; name what compiles it by --go"
        )
    return made


def prepare(goroot: Path, toolchain: Toolchain | None) -> None:
    """Makes a GOROOT of the sources that are checked out there.  Raises CommitError."""
    if toolchain is None:
        _make(goroot)
        return
    # A copy, for the go command takes its GOROOT from where it lies itself.
    (goroot / "bin").mkdir(exist_ok=True)
    if not (goroot / "bin" / "go").exists():
        shutil.copy2(toolchain.go, goroot / "bin" / "go")
    for name in ("pkg", "VERSION", "go.env"):
        if (toolchain.goroot / name).exists() and not (goroot / name).exists():
            (goroot / name).symlink_to(toolchain.goroot / name)
    for folder in ("internal/buildcfg", "internal/runtime/sys", "runtime/internal/sys", "go/build"):
        for name in _GENERATED:
            theirs, ours = toolchain.goroot / "src" / folder / name, goroot / "src" / folder / name
            if theirs.exists() and ours.parent.is_dir() and not ours.exists():
                shutil.copy(theirs, ours)


def _make(goroot: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GOROOT"}
    try:
        made = subprocess.run(
            ["bash", "make.bash"],
            cwd=goroot / "src",
            env=environment | {"GOTOOLCHAIN": "local", "GOFLAGS": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=MAKE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommitError(f"make.bash took more than {MAKE_SECONDS} s") from error
    if made.returncode != 0:
        said = " ".join(made.stdout.split())[-_WORDS:]
        raise CommitError(f"make.bash: exit status {made.returncode}: {said}")


def own_toolchain(repository: Path) -> Path | None:
    """The go command that lies beside the sources, with the tools it needs, or None."""
    tools = list((repository / "pkg").glob("tool/*/compile"))
    go = repository / "bin" / "go"
    return go if tools and go.is_file() else None


def _git(
    folder: Path,
    *arguments: str,
    stderr: int = subprocess.PIPE,
    begin: Callable[[], object] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Raises SpecError where there is no git."""
    # Variables such as GIT_DIR, which a hook has, would name another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            preexec_fn=begin,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise SpecError("no git on PATH: --goroot needs it; install git") from error


def _must(folder: Path, *arguments: str) -> str:
    """What git prints.  Raises SpecError with git's own words."""
    answer = _git(folder, *arguments)
    if answer.returncode != 0:
        words = " ".join(answer.stderr.split()) or f"exit status {answer.returncode}"
        raise SpecError(f"git {shlex.join(arguments[:2])}: {words}")
    return answer.stdout.strip()
