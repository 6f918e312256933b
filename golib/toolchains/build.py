"""Toolchain + Go main package (+ overlay) -> Library, by that toolchain's own `go build -buildmode=c-shared`,
with golib's bridge linked in (golib.toolchains.package).

Libraries are kept below the cache folder: GOLIB_CACHE, else the user's cache folder for golib.

    libraries/<name>-<flavour>-<key>/    one per toolchain, package, flavour, flags, contents of the overlay
        lock                             held while building
        libgolib-<digest>.so  .json      a library under the digest of its content, and its layout
        session-<id>                     the digest that this session has built or found current
        overlay/                         the go command's view of the overlay
        build-*/                         a build under way; what a killed one left goes with the next build
    modules/                             GOMODCACHE of these builds

Whether a library is stale is for the go command to say: the first worker of a session runs it, the
others take what the session's stamp names. A file named by its content never changes, so a process may
load it or keep it mapped whatever another session builds meanwhile.

The runtime stays unmodified but for overlays. -trimpath is there so that Go's crash texts name
"runtime/proc.go" on every machine, and the same sources give the same digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from golib.case import prototype
from golib.case.prototype import Prototype
from golib.toolchains import layout, prototypes, symbols
from golib.toolchains import package as packages
from golib.toolchains.layout import Layout, LayoutError
from golib.toolchains.package import BRIDGE, BuildError, Go, NewerError, PackageError
from golib.toolchains.toolchain import ANSWER_SECONDS, Toolchain, c_compiler

__all__ = ["BRIDGE", "SEED", "BuildError", "NewerError", "PackageError"]

SEED = Path(__file__).parent.parent / "seed"
"""The library that golib's own cases run in: a Go main package like any other."""

FLAVOURS = ("real", "absent")
"""real: the runtime as it is. absent: it gets the #else of x_cgo_getstackbound's #if, which is meant for
C libraries without pthread_getattr_np; on glibc nothing else compiles those lines."""

FLAGS = ("-race", "-asan")
"""What a build may be given: at most one of them, for the go command takes no two."""

BUILD_SECONDS = 600
"""For one go build: 5 to 10 s when nothing is cached, and many times that on a loaded machine."""

LOCK_SECONDS = 2 * BUILD_SECONDS
"""For another process's build of the same library, and one more before it in the queue."""

KEEP_DAYS = 7
"""Libraries and stamps that no session has used for so long are removed: far longer than any run."""
SWEEP_HOURS = 12
"""So often at most they are looked for: in a cache that has been in use for long it takes half a second."""

# The loader maps a library where it was linked to lie, if that is free.  ThreadSanitizer knows Go's code and
# variables below 0xe000000000 only (compiler-rt, tsan_platform.h, "Go on linux/x86_64"): where the loader
# chooses, it says "failed to allocate" and ends the process, or with the old memory layout (setarch -L) finds
# the race and has no report of it ("failed to restore address").  Go's heap begins at 0xc000000000.
_RACE_LINK = "-Wl,-Ttext-segment=0x7000000000"

# A panic leaves C frames behind without a word to the sanitizer, which then takes the red zones round their
# variables for those of whoever uses that memory next: see golib.toolchains.sanitizers.NOT_JUDGED.
_NO_RED_ZONES = "--param=asan-stack=0"

# In an overlay's keys: the GOROOT of whichever toolchain builds.
_GOROOT = "$GOROOT/"

# x_cgo_getstackbound lives in the first up to Go 1.26, in the second since.
_STACK_BOUND_FILES = ("src/runtime/cgo/gcc_stack_unix.c", "src/runtime/cgo/pthread_unix.c")
_STACK_BOUND = re.compile(r"^x_cgo_getstackbound\(.*?^}", re.MULTILINE | re.DOTALL)
_GLIBC_BRANCH = re.compile(r"^(#\s*(?:el)?if\b.*?)defined\(__GLIBC__\)", re.MULTILINE)


# What these builds have instead of the user's own.
_OWN = {
    "GOTOOLCHAIN": "local",
    "GOFLAGS": "-buildvcs=false",
    "GO111MODULE": "on",
    "GOOS": "linux",
    "GOARCH": "amd64",
    "CGO_ENABLED": "1",
}

_NAMES_IT = "--go names the toolchain"
_IN_ITS_WORLD = "a case has its own, by {}= in its world"
_AS_GO_HAS_IT = "a case runs with Go's default"
_SANITIZERS_OWN = "golib gives a process of a {} library what it needs"
# Variables of the user's that do not reach a build or a case, and what does instead.
_DROPPED = {
    "GOFLAGS": "golib builds with its own flags, and --go-build names others",
    "GOROOT": _NAMES_IT,
    "GOTOOLCHAIN": _NAMES_IT,
    "GO111MODULE": "golib builds modules",
    "GOWORK": "golib takes the go.work that the package's module belongs to",
    "GOOS": "golib builds for Linux",
    "GOARCH": "golib builds for amd64",
    "GODEBUG": _IN_ITS_WORLD.format("godebug"),
    "GOMAXPROCS": _IN_ITS_WORLD.format("gomaxprocs"),
    "GOGC": _AS_GO_HAS_IT,
    "GOMEMLIMIT": _AS_GO_HAS_IT,
    "GOTRACEBACK": _AS_GO_HAS_IT,
    "GORACE": _SANITIZERS_OWN.format("-race"),
    "ASAN_OPTIONS": _SANITIZERS_OWN.format("-asan"),
}
# Those that make another library, and are the user's to choose.
_HONOURED = ("GOEXPERIMENT", "GOAMD64", "CGO_CFLAGS", "CGO_CPPFLAGS", "CGO_LDFLAGS")


class OverlayError(BuildError):
    """The user's overlay cannot be used: one sentence."""


class FlagError(BuildError):
    """These build flags cannot be had: one sentence."""


@dataclass(frozen=True)
class Library:
    """A Go shared library, built and described."""

    toolchain: Toolchain
    path: Path
    layout: Layout
    flavour: str
    flags: tuple[str, ...] = ()
    """Build flags beside golib's own: of ``FLAGS``."""
    preload: str = ""
    """What LD_PRELOAD must name in a process that is to load it, or nothing."""
    exports: Mapping[str, Prototype] = field(default_factory=dict)
    """What its DWARF says of its exports, by name; nothing where it was compiled without -g."""

    def to_json(self) -> dict[str, Any]:
        return {
            "toolchain": self.toolchain.to_json(),
            "path": str(self.path),
            "layout": self.layout.to_json(),
            "flavour": self.flavour,
            "flags": list(self.flags),
            "preload": self.preload,
            "exports": prototype.to_json(self.exports),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Library:
        toolchain = Toolchain.from_json(data["toolchain"])
        return cls(
            toolchain,
            Path(data["path"]),
            Layout.from_json(data["layout"]),
            data["flavour"],
            tuple(data["flags"]),
            data["preload"],
            prototype.from_json(data["exports"]),
        )


def build(
    toolchain: Toolchain,
    *,
    flavour: str = "real",
    overlay: Path | None = None,
    flags: tuple[str, ...] = (),
    package: Path = SEED,
    ldflags: str = "",
    session: str | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> Library:
    """The main package in that folder as that toolchain builds it, with the bridge and DWARF, from the cache
    where nothing has changed.

    overlay is Go's own overlay file (`go help build`), whose replacements are relative to its folder and
    whose keys may begin with $GOROOT. flags are build flags, of ``FLAGS``. ldflags are the linker's, as for
    `go build -ldflags`; -s and -w among them have no effect, for golib reads the DWARF. session is an id
    shared by processes that see the same sources: only the first of them runs the go command. progress gets
    a line before a build begins.

    Raises BuildError, OverlayError when it is the overlay's fault, FlagError when it is that of the flags,
    PackageError when the folder has no main package with exports, NewerError when it wants a newer Go.
    """
    if flavour not in FLAVOURS:
        raise ValueError(f"flavour {flavour!r} is none of {', '.join(FLAVOURS)}")
    check_flags(flags)
    package = package.resolve()
    packages.check_folder(package)
    replacements = _replacements(toolchain, flavour, overlay)
    cache = cache_folder()
    entry = cache / "libraries" / _entry_name(toolchain, flavour, flags, ldflags, replacements, package)
    try:
        entry.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(entry / "lock", timeout=LOCK_SECONDS):
            stamp = entry / f"session-{session}"
            digest = _stamped(entry, stamp) if session is not None else None
            if digest is None:
                progress(f"building {package.name} with {' '.join((toolchain.name, *flags))} ({flavour})")
                _sweep(entry)
                with tempfile.TemporaryDirectory(prefix="build-", dir=entry) as folder:
                    go = Go(toolchain, package, _environment(flags))
                    digest = _build(go, flags, ldflags, replacements, cache, entry, Path(folder))
                    if session is not None:
                        _write(stamp, digest, Path(folder))
            path, description = _paths(entry, digest)
            described = json.loads(description.read_text())
    except filelock.Timeout as error:
        why = f"another process has held {entry / 'lock'} for {LOCK_SECONDS} s"
        raise BuildError(f"{why}; end it, or set GOLIB_CACHE to another folder") from error
    except OSError as error:
        raise BuildError(
            f"the cache {entry} cannot be used: {error}; set GOLIB_CACHE to another folder"
        ) from error
    preload = _sanitizer(path) if "-asan" in flags else ""
    exports = prototype.from_json(described["exports"])
    return Library(toolchain, path, Layout.from_json(described["layout"]), flavour, flags, preload, exports)


def _exports(library: Path) -> dict[str, Any]:
    """What it says of its exports, without the bridge's; nothing where the user's CGO_CFLAGS leave -g out."""
    ours = {name for file in BRIDGE.glob("*.go") for name in packages.exported(file.read_text())}
    try:
        found = prototypes.read(library)
    except prototypes.PrototypesError:
        return {}
    return prototype.to_json({name: one for name, one in found.items() if name not in ours})


def resolved_overlay(
    toolchain: Toolchain, overlay: Path, folder: Path
) -> tuple[Path, dict[Path, bytes | None]]:
    """The overlay in folder, with the paths of this toolchain, as any go command takes it; and what it has
    instead of which file.  Raises OverlayError."""
    replacements = _replacements(toolchain, "real", overlay)
    path = _write_overlay(replacements, folder / "overlay", folder)
    return path, {Path(target): text for target, text in replacements.items()}


def check_overlay(path: Path) -> None:
    """Raises OverlayError unless path is an overlay that `build` can use, with any toolchain."""
    _read_overlay(path)


def ignored(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable of the user's that would change a Go build or a Go process: those that
    golib drops, saying what holds instead, then those that it passes on to the build."""
    found = {name: environ[name] for name in (*_DROPPED, *_HONOURED) if environ.get(name)}
    return [
        f"{name}={value} is ignored: {_DROPPED[name]}"
        if name in _DROPPED
        else f"{name}={value} is honoured: the libraries are built with it"
        for name, value in found.items()
        if _OWN.get(name) != value
    ]


def check_flags(flags: Sequence[str]) -> None:
    """Raises FlagError unless ``build`` takes these flags."""
    for flag in flags:
        if flag not in FLAGS:
            raise FlagError(f"build flag {flag!r}: golib builds with {' or '.join(FLAGS)}; name one of these")
    if len(flags) > 1:
        raise FlagError(f"build flags {' '.join(flags)}: the go command takes one of them; name one")


def _sanitizer(library: Path) -> str:
    """The file of the sanitizer's runtime, which must be the first of all that a process loads.

    The C compiler knows it (GCC's manual, -print-file-name), where it is not among the loader's own.
    """
    wanted = [name for name in symbols.needed(library) if name.startswith(("libasan.", "libclang_rt.asan"))]
    compiler = c_compiler()
    if not wanted:
        raise FlagError(
            f"build flag -asan: {compiler} has linked its runtime into the library, where a Python process"
            " cannot use it; set CC to a gcc that has libasan.so"
        )
    answer = subprocess.run(
        [*shlex.split(compiler), f"-print-file-name={wanted[0]}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ANSWER_SECONDS,
        check=False,
    )
    return answer.stdout.strip() or wanted[0]


def cache_folder() -> Path:
    """Where golib keeps what it made: GOLIB_CACHE, else the user's cache folder for golib."""
    override = os.environ.get("GOLIB_CACHE")
    return Path(override).expanduser().absolute() if override else platformdirs.user_cache_path("golib")


def _entry_name(
    toolchain: Toolchain,
    flavour: str,
    flags: tuple[str, ...],
    ldflags: str,
    replacements: Mapping[str, bytes | None],
    package: Path,
) -> str:
    contents = {
        path: hashlib.sha256(text).hexdigest() if text is not None else None
        for path, text in replacements.items()
    }
    facts = [layout.FORMAT, prototypes.FORMAT, toolchain.version, str(toolchain.goroot), flavour, contents]
    facts += [str(package), str(BRIDGE), ldflags, *flags]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return f"{toolchain.name}-{flavour}{''.join(flags)}-{key}"


def _paths(entry: Path, digest: str) -> tuple[Path, Path]:
    return entry / f"libgolib-{digest}.so", entry / f"libgolib-{digest}.json"


def _stamped(entry: Path, stamp: Path) -> str | None:
    """The digest that the stamp names, unless the library or its layout is gone."""
    if not stamp.exists():
        return None
    digest = stamp.read_text()
    return digest if all(path.exists() for path in _paths(entry, digest)) else None


def _build(
    go: Go,
    flags: tuple[str, ...],
    ldflags: str,
    replacements: Mapping[str, bytes | None],
    cache: Path,
    entry: Path,
    folder: Path,
) -> str:
    """Builds in folder, moves the library and its layout into the entry, gives its digest."""
    product = folder / "libgolib.so"

    def lay(whole: Mapping[str, bytes | None]) -> str:
        return f"-overlay={_write_overlay(whole, entry / 'overlay', folder)}"

    linked = packages.link(go, replacements, lay, cache / "modules", folder)
    options = ["-trimpath", *flags, *linked.arguments]
    if ldflags:
        # Of the linker's flags the last counts.
        options.append(f"-ldflags={ldflags} -s=0 -w=0")
    stamp = None
    # It is worth nobody's time what the first library of an entry is made of.
    if any(entry.glob("libgolib-*.so")) and (made_of := _compiled(go, options, linked.environment)):
        stamp = entry / f"linked-{made_of}"
        if digest := _stamped(entry, stamp):
            for path in (stamp, *_paths(entry, digest)):
                path.touch()  # for _sweep in other processes
            return digest
    command = ["build", "-buildmode=c-shared", *options, "-o", str(product), "."]
    done = go.run(command, BUILD_SECONDS, linked.environment)
    if done.returncode != 0:
        raise packages.refusal(go.toolchain, go.package, done.stderr + done.stdout)
    digest = hashlib.sha256(product.read_bytes()).hexdigest()[:16]
    path, description = _paths(entry, digest)
    try:
        described = description.read_text()  # reading it from the DWARF takes 30 ms
    except FileNotFoundError:
        try:
            described = json.dumps({"layout": layout.read(product).to_json(), "exports": _exports(product)})
        except LayoutError as error:
            raise BuildError(
                f"{go.toolchain.name} built a library without the runtime's layout: {error}"
            ) from error
    # Moved even when there already: it is the same, and now young enough for _sweep in other processes.
    _write(description, described, folder)
    product.replace(path)
    if stamp is not None:
        _write(stamp, digest, folder)
    return digest


def _compiled(go: Go, options: Sequence[str], environment: Mapping[str, str]) -> str:
    """Changes with all that a library is linked from: the build ID of each package, which is compiled where
    it is not in Go's cache, and the linker.  Nothing where the go command cannot say: it may be able to build
    all the same, and if not, says why.

    `go build` finds out as much, but first runs cgo on runtime/cgo and compiles its C, each time, for a
    header that nobody asked for: 0.7 s of processor time, where this takes a tenth of that.
    """
    # What is compiled for a position-independent program is what a shared library has, and no header is left
    # in the package's folder.
    what = ["-export", "-deps", "-buildmode=pie", "-f", "{{.ImportPath}} {{.BuildID}}"]
    done = go.run(["list", *what, *options, "."], BUILD_SECONDS, environment)
    if done.returncode != 0:
        return ""
    facts = done.stdout
    with contextlib.suppress(FileNotFoundError):
        linker = (go.toolchain.goroot / "pkg" / "tool" / "linux_amd64" / "link").stat()
        facts += f" {linker.st_size} {linker.st_mtime_ns}"
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def _environment(flags: tuple[str, ...]) -> dict[str, str]:
    """The user's own, but for what would build something else or elsewhere."""
    environment = {name: value for name, value in os.environ.items() if name not in ("GOROOT", "GOWORK")}
    environment |= _OWN
    if "-asan" in flags:
        environment["CGO_CFLAGS"] = f"{environment.get('CGO_CFLAGS', '-g -O2')} {_NO_RED_ZONES}"
    elif environment.get("CGO_CFLAGS"):
        environment["CGO_CFLAGS"] += " -g"  # the prototypes of the exports stand in C's DWARF
    if "-race" in flags:
        environment["CGO_LDFLAGS"] = f"{environment.get('CGO_LDFLAGS', '-g -O2')} {_RACE_LINK}"
    return environment


def _write(path: Path, text: str, folder: Path) -> None:
    """At once or not at all: a killed process leaves no half of it."""
    draft = folder / path.name
    draft.write_text(text)
    draft.replace(path)


def _sweep(entry: Path) -> None:
    """Removes what killed builds left in the entry, and from all entries what nobody uses any more."""
    for leftover in entry.glob("build-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    swept = entry.parent / "swept"
    if swept.exists() and swept.stat().st_mtime > time.time() - SWEEP_HOURS * 60 * 60:
        return
    swept.touch()
    oldest = time.time() - KEEP_DAYS * 24 * 60 * 60
    for file in (
        file for what in ("libgolib", "linked", "session") for file in entry.parent.glob(f"*/{what}-*")
    ):
        # Another process may sweep at the same time.
        try:
            if file.stat().st_mtime < oldest:
                file.unlink()
        except FileNotFoundError:
            continue


def _replacements(toolchain: Toolchain, flavour: str, overlay: Path | None) -> dict[str, bytes | None]:
    """What to compile instead, by the path of what it replaces; None where a file is to be gone."""
    replacements: dict[str, bytes | None] = {}
    if overlay is not None:
        for key, source in _read_overlay(overlay).items():
            if key.startswith(_GOROOT):
                key = f"{toolchain.goroot}/{key.removeprefix(_GOROOT)}"
            target = os.path.normpath(key)
            replacements[target] = source.read_bytes() if source else None
    if flavour == "absent":
        _hide_bounds(toolchain, replacements)
    return replacements


def _read_overlay(path: Path) -> dict[str, Path | None]:
    """The overlay's replacements, with $GOROOT still in the keys."""
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise OverlayError(f"overlay {path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise OverlayError(f"overlay {path}: is not JSON: {error}") from error
    replace = data.get("Replace") if isinstance(data, dict) else None
    if not isinstance(replace, dict) or not all(isinstance(value, str) for value in replace.values()):
        raise OverlayError(
            f'overlay {path}: must be of the form {{"Replace": {{"path": "path"}}}}, see `go help build`'
        )
    sources: dict[str, Path | None] = {}
    for key, value in replace.items():
        if not key.startswith(("/", _GOROOT)):
            raise OverlayError(f"overlay {path}: {key} must be an absolute path, or begin with {_GOROOT}")
        source = path.parent / value if value else None
        if source is not None and not os.access(source, os.R_OK):
            raise OverlayError(
                f"overlay {path}: {source}, to replace {key}, does not exist or cannot be read"
            )
        sources[key] = source
    return sources


def _write_overlay(replacements: Mapping[str, bytes | None], home: Path, folder: Path) -> Path:
    """As an overlay file for the go command. The names do not change from build to build, for Go's cache
    and the C compiler's debug information know the replacements by them."""
    home.mkdir(exist_ok=True)
    replace: dict[str, str] = {}
    for number, (target, text) in enumerate(sorted(replacements.items())):
        source = home / f"{number}-{Path(target).name}"
        if text is not None:
            source.write_bytes(text)
        replace[target] = "" if text is None else str(source)
    path = folder / "overlay.json"
    path.write_text(json.dumps({"Replace": replace}))
    return path


def _hide_bounds(toolchain: Toolchain, replacements: dict[str, bytes | None]) -> None:
    """Adds the edit that makes x_cgo_getstackbound compile as where no glibc is."""
    edited: dict[str, bytes] = {}
    for name in _STACK_BOUND_FILES:
        target = str(toolchain.goroot / name)
        text = replacements[target] if target in replacements else _content(Path(target))
        for function in _STACK_BOUND.finditer((text or b"").decode(errors="surrogateescape")):
            body, count = _GLIBC_BRANCH.subn(r"\g<1>0 /* __GLIBC__, hidden by golib */", function[0])
            if count:
                if count > 1 or edited:
                    raise BuildError(_no_place(toolchain, "more than one place"))
                whole = function.string[: function.start()] + body + function.string[function.end() :]
                edited[target] = whole.encode(errors="surrogateescape")
    if not edited:
        raise BuildError(_no_place(toolchain, "no place"))
    replacements.update(edited)


def _no_place(toolchain: Toolchain, found: str) -> str:
    rule = "exactly one #if defined(__GLIBC__) in x_cgo_getstackbound"
    files = " and ".join(_STACK_BOUND_FILES)
    return f"the flavour absent of {toolchain.name} needs {rule}, and {found} was found in {files}"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
