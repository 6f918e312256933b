"""``golib validate``: judges many Go releases, keeps what it found, and gives each a verdict.

For each toolchain pytest runs golib's suite in a process of its own, one toolchain after the other.  Its
results are kept below the cache folder, under a key made of all that decides them, so that a second run asks
only for what is new, and an interrupted one goes on with the toolchain at which it stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from golib.judge import history, known
from golib.judge.release import KNOWN, NEW, UNAVAILABLE, ours, release
from golib.run.process import die_with_parent
from golib.show.report import check_writable, write_atomically
from golib.toolchains import build
from golib.toolchains.toolchain import (
    CannotBeHadError,
    SpecError,
    Toolchain,
    Unavailable,
    check_platform,
    resolve,
    version_key,
)

SCHEMA = 2
"""Of --json, and of what is kept."""

FINE, FOUND, USAGE, NOT_RUN = 0, 1, 2, 3
"""Exit statuses: nothing new; new failures, or known ones of --fail-on; a mistake; could not be run."""

EXPECTED_SECONDS = {"suite": 120.0, "quick": 60.0, "proofs": 30.0}
"""For one toolchain on two cores, until the first has been timed."""

FILES = {
    "suite": (),
    "quick": ("test_known_issues.py", "test_found.py"),
    "proofs": ("test_known_issues.py",),
}
"""What is run: the whole suite; the proofs of the known issues and their controls; the proofs alone."""

_BUILD_VARIABLES = ("CC", "CGO_CFLAGS", "CGO_CPPFLAGS", "CGO_LDFLAGS", "GOEXPERIMENT", "GOAMD64")


class NotRunError(Exception):
    """A toolchain could not be judged: one sentence."""


def main(arguments: Sequence[str], suite: Path, version: str) -> int:
    """``suite`` is the folder of golib's tests of Go, ``version`` golib's own."""
    given = _parser().parse_args(arguments)
    try:
        outputs = [Path(name) for name in (given.html, given.json, given.history) if name]
        for path in outputs:
            _writable(path)
        check_platform()
        toolchains, unavailable = _resolve(given.spec)
        with _folder() as folder:
            found = _judge(toolchains, given, suite, folder)
    except SpecError as error:
        network = isinstance(error, CannotBeHadError) or "list of Go releases" in str(error)
        return _complain(str(error), NOT_RUN if network else USAGE)
    except UsageError as error:
        return _complain(str(error), USAGE)
    except (NotRunError, history.HistoryError) as error:
        return _complain(str(error), NOT_RUN)
    except KeyboardInterrupt:
        return _complain("stopped; what was judged is kept, and the same command goes on from here", NOT_RUN)
    found += [
        {"version": one.version, "spec": one.spec, "verdict": UNAVAILABLE, "why": one.why}
        for one in unavailable
    ]
    found.sort(key=lambda one: version_key(one["version"]))
    document = {"schema": SCHEMA, "golib": version, "machine": _machine(), "releases": found}
    try:
        if given.json:
            write_atomically(Path(given.json).absolute(), json.dumps(document, indent=1) + "\n")
        if given.html:
            from golib.show import page  # jinja2 is for this alone

            write_atomically(Path(given.html).absolute(), page.render(document, known.shipped()))
        if given.history:
            _keep_history(Path(given.history).absolute(), found, version)
    except OSError as error:
        return _complain(f"{error.filename or 'a file'} cannot be written: {error.strerror}", NOT_RUN)
    except history.HistoryError as error:
        return _complain(str(error), NOT_RUN)
    width = shutil.get_terminal_size((100, 24)).columns
    print("\n".join(line for one in found for line in lines(one, width)))
    return status(found, given.fail_on)


def status(found: Sequence[Mapping[str, Any]], fail_on: Sequence[str]) -> int:
    """FOUND where a release has new failures, or a known issue of one of these effects; else FINE."""
    for one in found:
        effects = {issue["effect"] for issue in one.get("issues", {}).values()}
        if one["verdict"] == NEW or effects & set(fail_on):
            return FOUND
    return FINE


def lines(one: Mapping[str, Any], width: int) -> Iterator[str]:
    """A release for the terminal: its verdict, then the issues by effect, wrapped."""
    head = f"{one['version']:<10} {one['verdict']}"
    if one["verdict"] == UNAVAILABLE:
        yield f"{head}: {one['why']}"
        return
    by_effect: dict[str, list[str]] = {}
    for name, issue in one["issues"].items():
        by_effect.setdefault(issue["effect"], []).append(name)
    parts = [f"{effect} {', '.join(names)}" for effect, names in by_effect.items()]
    if one["gone"] and one["verdict"] != NEW:
        parts.insert(0, f"no longer shows {', '.join(one['gone'])}")
    if one["verdict"] not in (KNOWN, "clean") and by_effect:
        parts[-len(by_effect)] = f"known issues: {parts[-len(by_effect)]}"
    if one["verdict"] == NEW:
        parts.insert(0, f"{len(one['failures'])} tests")
    whole = f"{head}: {'; '.join(parts)}" if parts else head
    yield from textwrap.wrap(
        whole, max(width, 40), subsequent_indent=" " * 11, break_on_hyphens=False, break_long_words=False
    )
    for failure in one["failures"]:
        yield f"{'':<11}{failure['test']}"
        yield f"{'':<13}{failure['outcome']['headline'] or failure['text'].splitlines()[0]}"


class UsageError(Exception):
    """A mistake on the command line: one sentence."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "golib validate",
        description="Judge Go releases: a verdict for each.  Exit status 0; 1 for new failures, or known ones"
        " of --fail-on; 2 for a mistake; 3 when something could not be run.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "spec",
        nargs="*",
        metavar="SPEC",
        help="as for --go: 1.27.4, 1.27 (its newest), 1.27.x (all), latest, a GOROOT, a go command; without"
        " one, the newest patch release of the two newest minors, and the go on PATH",
    )
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument(
        "--quick",
        dest="what",
        action="store_const",
        const="quick",
        default="suite",
        help="run the proofs of known issues and their controls only",
    )
    depth.add_argument(
        "--proofs", dest="what", action="store_const", const="proofs", help="run these proofs only"
    )
    parser.add_argument(
        "--fail-on",
        action="append",
        default=[],
        choices=known.EFFECTS,
        metavar="EFFECT",
        help=f"exit status 1 for known issues of this effect, too, repeatable: {', '.join(known.EFFECTS)}",
    )
    parser.add_argument("--json", metavar="FILE", help="write verdicts and failures there")
    parser.add_argument("--html", metavar="FILE", help="write one self-contained page there")
    parser.add_argument("--history", metavar="FILE", help="add what the proofs showed to this history")
    parser.add_argument(
        "-n", dest="workers", default="auto", metavar="N", help="pytest-xdist's workers (default: auto)"
    )
    return parser


def _complain(sentence: str, exit_status: int) -> int:
    print(f"golib validate: {sentence}", file=sys.stderr)
    return exit_status


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _writable(path: Path) -> None:
    """Raises UsageError: an hour of judging must not end in a file that cannot be written."""
    try:
        check_writable(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}; name a file in a folder of yours"
        ) from None


def _resolve(specs: Sequence[str]) -> tuple[list[Toolchain], list[Unavailable]]:
    """As ``resolve``, but a release that the proxy refuses is unavailable.  Raises SpecError."""
    if not specs:
        [newest], _ = resolve(["latest"])
        major, minor = newest.release[:2]
        specs = ["latest", f"{major}.{minor - 1}", "go"]
    found: dict[Path, Toolchain] = {}
    missing: dict[str, Unavailable] = {}
    for spec in specs:
        try:
            some, none = resolve([spec])
        except CannotBeHadError as error:
            if not error.refused:
                raise
            some, none = [], [Unavailable(spec, error.version, str(error))]
        for one in none:
            if not one.refused:
                raise CannotBeHadError(
                    f"{one.spec}: {one.version} cannot be had: {one.why}; check the network and the disk",
                    one.version,
                    refused=False,
                )
            missing.setdefault(one.version, one)
        for toolchain in some:
            found.setdefault(toolchain.goroot, toolchain)
    return sorted(found.values(), key=lambda one: one.release), list(missing.values())


@contextlib.contextmanager
def _folder() -> Iterator[tuple[Path, int]]:
    """Where results are kept, with the lock on it: a descriptor, which pytest inherits, so that the lock is
    held as long as one of the two lives."""
    folder = build.cache_folder() / "validate"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise NotRunError(
            f"the cache {folder} cannot be used: {error.strerror}; set GOLIB_CACHE to another folder"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"another golib validate works in {folder}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder, lock
    finally:
        os.close(lock)


def _judge(
    toolchains: Sequence[Toolchain], given: argparse.Namespace, suite: Path, place: tuple[Path, int]
) -> list[dict[str, Any]]:
    """A release's data for each toolchain, from what is kept or by running the suite."""
    folder, lock = place
    code = _digest_of([*Path(__file__).parent.rglob("*"), *suite.rglob("*")])
    files = {one: folder / f"{one.name}-{_key(one, given.what, code)}.json" for one in toolchains}
    kept = {one: _kept(path) for one, path in files.items()}
    waiting = [one for one in toolchains if kept[one] is None]
    expected = EXPECTED_SECONDS[given.what]
    if waiting:
        _say(
            f"{len(toolchains)} toolchains, {len(waiting)} of them to be judged now: about "
            f"{_minutes(expected * len(waiting))}; what is judged is kept in {folder}"
        )
    took: list[float] = []
    found = []
    for one in toolchains:
        data = kept[one]
        if data is None:
            begun = time.monotonic()
            rows = _run(one, given, suite, lock)
            took.append(time.monotonic() - begun)
            data = {"schema": SCHEMA, "seconds": round(took[-1], 1), "results": rows}
            try:
                write_atomically(files[one], json.dumps(data))
            except OSError as error:
                raise NotRunError(
                    f"the results of {one.version} cannot be kept in {folder}: {error.strerror}; make room,"
                    " or set GOLIB_CACHE to another folder"
                ) from error
        about = {"version": one.version, "spec": one.spec, "ran": given.what, "seconds": data["seconds"]}
        found.append(about | release(data["results"], known.shipped()))
        if kept[one] is None:
            left = sum(took) / len(took) * (len(waiting) - len(took))
            _say(
                f"[{len(took)}/{len(waiting)}] {one.version}: {found[-1]['verdict']}, {took[-1]:.0f} s"
                + (f"; about {_minutes(left)} left" if left else "")
            )
    return found


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _run(one: Toolchain, given: argparse.Namespace, suite: Path, lock: int) -> list[dict[str, Any]]:
    """The rows of the suite's results.  Raises NotRunError."""
    with tempfile.TemporaryDirectory(prefix="golib-validate-") as name:
        folder = Path(name)
        command = [sys.executable, "-P", "-m", "pytest", f"--config-file={suite / 'suite.ini'}"]
        command += [f"--rootdir={suite}", "-p", "no:cacheprovider", "-q", f"-n{given.workers}"]
        spec = str(one.goroot) if "/" in one.spec or Path(one.spec).exists() else one.version
        spec = "go" if one.spec == "go" else spec
        command += [f"--go={spec}", f"--golib-json={folder / 'r.json'}", f"--golib-failures={folder / 'f'}"]
        command += [str(suite / file) for file in FILES[given.what]] or [str(suite)]
        with (folder / "said").open("w+b") as said:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | {"PYTHONSAFEPATH": "1"},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
                preexec_fn=die_with_parent,  # this process has no other thread
            )
            try:
                ended = process.wait()
            finally:
                process.kill()
                process.wait()
            said.seek(0)
            words = said.read().decode(errors="replace")
        if ended not in (0, 1):
            raise NotRunError(f"{one.version} could not be judged: {_last(words, ended)}")
        try:
            rows: list[dict[str, Any]] = json.loads((folder / "r.json").read_text())["results"]
        except (OSError, ValueError) as error:
            raise NotRunError(
                f"{one.version} could not be judged, no results: {_last(words, ended)}"
            ) from error
    if bad := ours(rows):
        first = bad[0].get("text", "").strip().splitlines() or ["nothing was said"]
        raise NotRunError(
            f"{one.version} could not be judged: {len(bad)} tests could not be run, the first is"
            f" {bad[0]['test']}: {first[-1].removeprefix('E').strip()}"
        )
    return rows


def _last(words: str, ended: int) -> str:
    """What pytest said of why: its line of an error, else its last."""
    said = [line.strip() for line in words.splitlines() if line.strip()]
    errors = [line for line in said if line.startswith(("ERROR: ", "INTERNALERROR> "))]
    return f"pytest's exit status is {ended}: {[*said, *errors][-1] if said else 'nothing was said'}"


def _kept(path: Path) -> dict[str, Any] | None:
    """What is kept there; None where there is nothing, or nothing that can be used."""
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        if data["schema"] != SCHEMA or not isinstance(data["seconds"], int | float) or not data["results"]:
            raise ValueError("another schema")
        release(data["results"], known.shipped())
        return data
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _say(f"{path} is passed over, and judged again: {error}")
        return None


def _key(one: Toolchain, what: str, code: str) -> str:
    """Of all that decides a result."""
    facts: list[object] = [SCHEMA, one.version, what, code, _machine(), platform.release(), os.cpu_count()]
    facts += [os.environ.get(name, "") for name in _BUILD_VARIABLES]
    if "/" in one.spec or Path(one.spec).exists() or one.spec == "go":
        # Somebody may work on it.
        facts += [str(one.goroot), _digest_of([*(one.goroot / "src").rglob("*"), one.go], contents=False)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _digest_of(paths: Sequence[Path], contents: bool = True) -> str:
    """Of the files' names and contents, or of their names, sizes and times."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        if path.is_file() and "__pycache__" not in path.parts and path != history.FILE:
            status = path.stat()
            digest.update(f"{path.name} {status.st_size}\n".encode())
            digest.update(path.read_bytes() if contents else f"{path} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _machine() -> dict[str, str]:
    return {
        "arch": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
    }


def _keep_history(path: Path, found: Sequence[Mapping[str, Any]], version: str) -> None:
    """Adds published releases; what the file has of others stays.  Raises HistoryError, OSError."""
    releases = history.read(path) if path.exists() else {}
    for one in found:
        if one["verdict"] != UNAVAILABLE and one["version"].replace(".", "").isdigit():
            cells = history.cells(one["proofs"], known.shipped())
            releases[one["version"]] = {"golib": version, "libc": _machine()["libc"], "cells": cells}
    write_atomically(path, history.text(releases))


def show_history(arguments: Sequence[str]) -> int:
    """``golib history [FILE]`` prints for each known issue since which release it shows, and until which."""
    parser = argparse.ArgumentParser(
        "golib history",
        description="Which Go releases have which fault, as it was measured.",
        allow_abbrev=False,
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="instead of the history that golib ships")
    given = parser.parse_args(arguments)
    path = Path(given.file) if given.file else history.FILE
    try:
        releases = history.read(path)
    except OSError as error:
        print(f"golib history: {path} cannot be read: {error.strerror}", file=sys.stderr)
        return USAGE
    except history.HistoryError as error:
        print(f"golib history: {error}", file=sys.stderr)
        return USAGE
    names = list(releases)
    print(f"{len(names)} releases, {names[0]} to {names[-1]}" if names else "no release")
    for issue in known.shipped():
        spans = [
            f"{first} and later" if not last else first if first == last else f"{first} - {last}"
            for first, last in history.ranges(releases, issue)
        ]
        print(f"{issue.id:<9} {issue.effect:<11} {', '.join(spans) or 'not seen'}")
    return FINE
