"""``golib validate``: judges many Go releases, keeps what it found, and gives each a verdict.

For each toolchain pytest runs golib's suite in a process of its own, one toolchain after the other.  Its
results are kept below the cache folder, under a key made of all that decides them, so that a second run asks
only for what is new, and an interrupted one goes on with the toolchain at which it stopped.  A release is
fetched when its turn comes, and not at all where its results are kept.

    validate/lock          held by who judges
    validate/*.json        the results of one toolchain each
    validate/modules/      GOMODCACHE of the releases that the user's own has not; --prune removes it
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from golib.judge import history, known
from golib.judge.release import CLEAN, KNOWN, NEW, UNAVAILABLE, ours, release
from golib.run.process import die_with_parent
from golib.show.report import check_writable, write_atomically
from golib.toolchains import build
from golib.toolchains.toolchain import (
    CannotBeHadError,
    SpecError,
    Toolchain,
    check_platform,
    members,
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

DIES_WITH_PARENT = "GOLIB_DIES_WITH_PARENT"
"""golib.options knows it, which loads pytest."""

PROOFS = "test_known_issues.py::test_it_shows_where_the_list_says_and_nowhere_else"

_BUILD_VARIABLES = ("CC", "CGO_CFLAGS", "CGO_CPPFLAGS", "CGO_LDFLAGS", "GOEXPERIMENT", "GOAMD64")

DOWNLOAD_MB, KEPT_MB = 76, 320
"""Of one release: its zip, and both it and what is unpacked."""


class NotRunError(Exception):
    """A toolchain could not be judged: one sentence."""


def main(arguments: Sequence[str], suite: Path, version: str) -> int:
    """``suite`` is the folder of golib's tests of Go, ``version`` golib's own."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        for name in (given.html, given.json, given.history):
            if name:
                _writable(Path(name))
        shard = _shard(given.shard)
        _check_only(given)
        check_platform()
        if given.prune and not given.spec:
            with _folder() as (folder, _):
                print(_prune(folder))
            return FINE
        # A mistake is told before another golib validate is waited for.
        plan = _plan(given.spec, build.cache_folder() / "validate" / MODULES)
        with _folder() as (folder, lock):
            code = _digest_of([*Path(__file__).parent.rglob("*"), *suite.rglob("*")])
            toolchains = [[one.spec, one.version] for one in plan]
            whole = _digest([SCHEMA, given.what, given.only, shard[1], code, toolchains])
            run = _Run(given, suite, folder, lock, code)
            found = run.judge(plan[shard[0] - 1 :: shard[1]])
    except SpecError as error:
        network = isinstance(error, CannotBeHadError) or "list of Go releases" in str(error)
        return _complain(str(error), NOT_RUN if network else USAGE)
    except UsageError as error:
        return _complain(str(error), USAGE)
    except (NotRunError, history.HistoryError) as error:
        return _complain(str(error), NOT_RUN)
    except KeyboardInterrupt:
        return _complain("stopped; what was judged is kept, and the same command goes on from here", NOT_RUN)
    document = {"schema": SCHEMA, "golib": version, "machine": _machine(), "releases": found}
    if given.shard:
        document["shard"] = {"number": shard[0], "of": shard[1], "key": whole}
    return _show(document, given)


def merge(arguments: Sequence[str]) -> int:
    """``golib merge FILE…`` puts together what ``golib validate --shard K/N --json FILE`` has written."""
    parser = argparse.ArgumentParser(
        "golib merge",
        description="Put the files of golib validate --shard K/N --json FILE together.  Exit statuses are"
        " those of golib validate.",
        allow_abbrev=False,
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    _output_options(parser)
    given = parser.parse_args(arguments)
    try:
        for name in (given.html, given.json, given.history):
            if name:
                _writable(Path(name))
        document = merged([(name, _document(Path(name))) for name in given.files])
    except UsageError as error:
        return _complain(str(error), USAGE, "merge")
    return _show(document, given)


def merged(documents: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """One document of all shards, each with the name of its file.  Raises UsageError where one is missing, is
    there twice, or is of another run."""
    first_name, first = documents[0]
    shards: dict[int, str] = {}
    for name, document in documents:
        if document["shard"]["key"] != first["shard"]["key"]:
            raise UsageError(
                f"{name} is of another run than {first_name}: shards are merged where the SPECs, what is run,"
                " N, the releases there are and golib's code are the same; run it again like the others"
            )
        number = document["shard"]["number"]
        if number in shards:
            raise UsageError(f"{name} is shard {number}, as {shards[number]} is; name each shard once")
        shards[number] = name
    total = first["shard"]["of"]
    if missing := [str(number) for number in range(1, total + 1) if number not in shards]:
        which = f"shard {missing[0]}" if len(missing) == 1 else f"shards {', '.join(missing)}"
        raise UsageError(
            f"{which} of {total} {'is' if len(missing) == 1 else 'are'} missing; name its file, too"
        )
    releases = [one for _, document in documents for one in document["releases"]]
    releases.sort(key=lambda one: version_key(one["version"]))
    return {name: value for name, value in first.items() if name != "shard"} | {"releases": releases}


def _document(path: Path) -> dict[str, Any]:
    """Raises UsageError for what is no file of a shard."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r}, and this golib reads {SCHEMA}")
        shard = document["shard"]
        if not 1 <= shard["number"] <= shard["of"] or not isinstance(shard["key"], str):
            raise ValueError(f"its shard is {shard!r}")
        for one in document["releases"]:
            _check_release(one)
        return document
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; name a file of --shard K/N") from None
    except (RecursionError, *_NOT_WHAT_IT_SHOULD_BE) as error:
        raise UsageError(
            f"{path} is no shard: {type(error).__name__}: {error}; `golib validate --shard K/N --json FILE`"
            " writes one"
        ) from None


_NOT_WHAT_IT_SHOULD_BE = (ValueError, KeyError, IndexError, TypeError, AttributeError)


def _check_release(one: Mapping[str, Any]) -> None:
    """Raises KeyError, TypeError or AttributeError where it is not what ``release`` gives."""
    version_key(one["version"])
    if one["verdict"] == UNAVAILABLE:
        one["why"] + ""
    else:
        for issue in one["issues"].values():
            issue["effect"] + ""
        for picture in [*(p for some in one["pictures"].values() for p in some), *one["failures"]]:
            picture.get("signature", "") + picture.get("test", "") + picture.get("text", "")
        _ = one["counts"].items(), one["tests"].items(), one["proofs"].items()
        list(lines(one, 80))


def _show(document: Mapping[str, Any], given: argparse.Namespace) -> int:
    """Writes what was asked for, prints the verdicts, gives the exit status."""
    found = document["releases"]
    verb = "merge" if hasattr(given, "files") else "validate"
    try:
        if given.json:
            write_atomically(Path(given.json).absolute(), json.dumps(document, indent=1) + "\n")
        if given.html:
            from golib.show import page  # jinja2 is for this alone

            write_atomically(Path(given.html).absolute(), page.render(document, known.shipped()))
        if given.history:
            _keep_history(Path(given.history).absolute(), found, document["golib"])
    except OSError as error:
        return _complain(f"{error.filename or 'a file'} cannot be written: {error.strerror}", NOT_RUN, verb)
    except history.HistoryError as error:
        return _complain(str(error), NOT_RUN, verb)
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
    if "/" in one.get("spec", ""):
        head += f" ({one['goroot']})"
    if one["verdict"] == UNAVAILABLE:
        yield f"{head}: {one['why']}"
        return
    by_effect: dict[str, list[str]] = {}
    for name, issue in one["issues"].items():
        by_effect.setdefault(issue["effect"], []).append(name)
    parts = [f"{effect} {', '.join(names)}" for effect, names in by_effect.items()]
    if one["gone"] and one["verdict"] != NEW:
        parts.insert(0, f"no longer shows {', '.join(one['gone'])}")
    if one["verdict"] not in (KNOWN, CLEAN) and by_effect:
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
    _output_options(parser)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="ID",
        help="with --proofs, the proof of this known issue only; repeatable",
    )
    parser.add_argument(
        "--shard", metavar="K/N", help="judge the K-th of N parts; golib merge puts their --json together"
    )
    parser.add_argument(
        "--prune",
        action="store_true",
        help="remove each release that was fetched, once it is judged; without SPEC, all that are left",
    )
    parser.add_argument(
        "-n", dest="workers", default="auto", metavar="N", help="pytest-xdist's workers (default: auto)"
    )
    return parser


def _output_options(parser: argparse.ArgumentParser) -> None:
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


def _check_only(given: argparse.Namespace) -> None:
    """Raises UsageError."""
    there = [issue.id for issue in known.shipped()]
    for name in given.only:
        if name not in there:
            raise UsageError(f"--only {name}: no known issue has this id; there are {', '.join(there)}")
    if given.only and given.what != "proofs":
        raise UsageError(f"--only {given.only[0]}: it names proofs, add --proofs")


def _shard(text: str | None) -> tuple[int, int]:
    """K and N.  Raises UsageError."""
    number, slash, total = (text or "1/1").partition("/")
    if not (slash and number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total) < 1000):
        raise UsageError(f"--shard {text}: it is K/N, the K-th of N parts, such as 1/3")
    return int(number), int(total)


def _complain(sentence: str, exit_status: int, verb: str = "validate") -> int:
    print(f"golib {verb}: {sentence}", file=sys.stderr)
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


@dataclass(frozen=True)
class Wanted:
    """What is to be judged."""

    spec: str
    version: str
    toolchain: Toolchain | None = None
    """None: a release, which is fetched when its turn comes."""
    name: str = ""
    """Its version, and what tells it from another one of that version."""


def _plan(specs: Sequence[str], modules: Path) -> list[Wanted]:
    """Each once, the oldest first.  Raises SpecError."""
    if not specs:
        [newest], _ = resolve(["latest"], modules)
        major, minor = newest.release[:2]
        specs = ["latest", f"{major}.{minor - 1}", "go"]
    plan: dict[object, Wanted] = {}
    for spec in specs:
        releases = members(spec)
        for version in releases:
            plan.setdefault(version, Wanted(spec, version))
        if not releases or spec.endswith(".x"):
            for one in _resolved(spec, releases, modules):
                named = _is_release(one)
                # The go command takes the one on PATH for the release of that number.
                key = one.version if named or one.spec == "go" else one.goroot
                plan.setdefault(key, Wanted(one.spec, one.version, None if named else one))
    seen: Counter[str] = Counter()
    ordered = []
    for wanted in sorted(plan.values(), key=lambda one: version_key(one.version)):
        seen[wanted.version] += 1
        number = seen[wanted.version]
        name = wanted.version if number == 1 else f"{wanted.version}@{number}"
        ordered.append(replace(wanted, name=name))
    return ordered


def _resolved(spec: str, releases: Sequence[str], modules: Path) -> Iterator[Toolchain]:
    """Of a range, the releases since the proxy's list was made; of another spec, what it names."""
    if not releases:
        yield from resolve([spec], modules)[0]
        return
    major, minor, _, patch = version_key(releases[-1])
    while True:
        patch += 1
        try:
            [newer], _ = resolve([f"{major}.{minor}.{patch}"], modules)
        except CannotBeHadError as error:
            if not error.refused:
                raise
            return
        yield replace(newer, spec=spec)


def _is_release(one: Toolchain) -> bool:
    """Whether its version says all of it: it is as it was published, and whoever fetches it gets the same."""
    path = "/" in one.spec or Path(one.spec).exists() or one.spec == "go"
    return not path and bool(members_of_one(one.version))


def members_of_one(version: str) -> list[str]:
    """The version as a spec, where it is one: not that of a development tree, nor with experiments."""
    try:
        return members(version)
    except SpecError:
        return []


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


class _Run:
    """The judging of one command."""

    def __init__(self, given: argparse.Namespace, suite: Path, folder: Path, lock: int, code: str) -> None:
        self._given, self._suite, self._folder, self._lock, self._code = given, suite, folder, lock, code
        self._modules = folder / MODULES
        self._took: list[float] = []

    def judge(self, plan: Sequence[Wanted]) -> list[dict[str, Any]]:
        """A release's data for each, from what is kept or by running the suite.

        Raises SpecError, NotRunError.
        """
        kept = [self._is_kept(one) for one in plan]
        waiting = kept.count(None)
        if waiting:
            self._announce(plan, kept)
        found = []
        for one, data in zip(plan, kept, strict=True):
            try:
                found.append(self._one(one, data, waiting))
            except CannotBeHadError as error:
                if not error.refused:
                    raise
                waiting -= 1
                why = str(error).partition("cannot be had: ")[2].rpartition("; ")[0] or str(error)
                found.append({"version": one.version, "spec": one.spec, "verdict": UNAVAILABLE, "why": why})
                _say(f"{one.version}: {UNAVAILABLE}")
        return found

    def _announce(self, plan: Sequence[Wanted], kept: Sequence[object]) -> None:
        waiting = kept.count(None)
        fetched = sum(1 for one, data in zip(plan, kept, strict=True) if data is None and not one.toolchain)
        expected = EXPECTED_SECONDS[self._given.what] * waiting
        download = ""
        if fetched:
            size = KEPT_MB * (1 if self._given.prune else fetched)
            download = f", at most {DOWNLOAD_MB * fetched} MB to download and {size} MB to keep"
        _say(
            f"toolchains: {len(plan)}, to be judged now: {waiting}, in about {_minutes(expected)}"
            f"{download}; it is kept in {self._folder}"
        )

    def _is_kept(self, one: Wanted) -> dict[str, Any] | None:
        toolchain = one.toolchain or Toolchain(one.version, one.version, Path())
        return _kept(self._file(toolchain))

    def _file(self, one: Toolchain) -> Path:
        what = [self._given.what, *sorted(set(self._given.only))]
        return self._folder / f"{one.name}-{_key(one, what, self._code)}.json"

    def _one(self, one: Wanted, data: dict[str, Any] | None, waiting: int) -> dict[str, Any]:
        fresh = data is None
        if data is None:
            toolchain = one.toolchain or resolve([one.version], self._modules)[0][0]
            begun = time.monotonic()
            rows = _run(toolchain, self._given, self._suite, self._lock, self._modules)
            self._took.append(time.monotonic() - begun)
            data = {"schema": SCHEMA, "seconds": round(self._took[-1], 1), "results": rows}
            try:
                write_atomically(self._file(toolchain), json.dumps(data))
            except OSError as error:
                raise NotRunError(
                    f"the results of {one.version} cannot be kept in {self._folder}: {error.strerror}; make"
                    " room, or set GOLIB_CACHE to another folder"
                ) from error
            if self._given.prune and one.toolchain is None:
                _remove(toolchain, self._modules)
        about = {
            "version": one.name,
            "spec": one.spec,
            "ran": self._given.what,
            "seconds": data["seconds"],
        }
        about |= {"goroot": str(one.toolchain.goroot)} if one.toolchain else {}
        about |= release(data["results"], known.shipped())
        if fresh:
            left = sum(self._took) / len(self._took) * (waiting - len(self._took))
            _say(
                f"[{len(self._took)}/{waiting}] {one.name}: {about['verdict']}, {self._took[-1]:.0f} s"
                + (f"; about {_minutes(left)} left" if left else "")
            )
        return about


MODULES = "modules"


def _remove(one: Toolchain, modules: Path) -> None:
    """A release that validate has fetched: what is unpacked, and its zip.  Another one is left alone."""
    if one.goroot.is_relative_to(modules):
        _remove_tree(one.goroot)
        version = one.goroot.name.partition("@")[2]
        for file in (modules / "cache/download/golang.org/toolchain/@v").glob(f"{version}.*"):
            file.unlink()


def _prune(folder: Path) -> str:
    modules = folder / MODULES
    toolchains = list((modules / "golang.org").glob("toolchain@*"))
    size = sum(file.lstat().st_size for file in modules.rglob("*") if file.is_file())
    _remove_tree(modules)
    return f"removed {len(toolchains)} releases, {size // 1_000_000} MB, from {modules}"


def _remove_tree(folder: Path) -> None:
    """A module cache's folders are read-only."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _run(
    one: Toolchain, given: argparse.Namespace, suite: Path, lock: int, modules: Path
) -> list[dict[str, Any]]:
    """The rows of the suite's results.  Raises NotRunError."""
    environment = os.environ | {"PYTHONSAFEPATH": "1", DIES_WITH_PARENT: "1"}
    if one.goroot.is_relative_to(modules):
        environment["GOMODCACHE"] = str(modules)  # pytest's go command looks for it there
    with tempfile.TemporaryDirectory(prefix="golib-validate-") as name:
        folder = Path(name)
        command = [sys.executable, "-P", "-m", "pytest", f"--config-file={suite / 'suite.ini'}"]
        command += [f"--rootdir={suite}", "-p", "no:cacheprovider", "-q", f"-n{given.workers}"]
        spec = str(one.goroot) if "/" in one.spec or Path(one.spec).exists() else one.version
        spec = "go" if one.spec == "go" else spec
        command += [f"--go={spec}", f"--golib-json={folder / 'r.json'}", f"--golib-failures={folder / 'f'}"]
        command += [f"--golib-html={folder / 'r.html'}"]  # with it, the results have pictures
        command += [f"{suite / PROOFS}[{one.name}-{name}]" for name in dict.fromkeys(given.only)] or [
            str(suite / file) for file in FILES[given.what] or [""]
        ]
        with (folder / "said").open("w+b") as said:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
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
    """What pytest said of why: from its line of an error on, else its last."""
    said = [line.strip() for line in words.splitlines() if line.strip()]
    begins = next((number for number, line in enumerate(said) if line.startswith("ERROR: ")), -1)
    why = " ".join(said[begins:])[:_WORDS]
    return f"pytest's exit status is {ended}: {why or 'nothing was said'}"


_WORDS = 500
"""Of what pytest said, in a sentence."""


def _kept(path: Path) -> dict[str, Any] | None:
    """What is kept there; None where there is nothing, or nothing that can be used."""
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        if data["schema"] != SCHEMA or not isinstance(data["seconds"], int | float) or not data["results"]:
            raise ValueError("another schema")
        if ours(data["results"]):
            raise ValueError("some of it could not be run")
        _check_release({"version": "1.21.0", "spec": ""} | release(data["results"], known.shipped()))
        return data
    except FileNotFoundError:
        return None
    except (OSError, RecursionError, *_NOT_WHAT_IT_SHOULD_BE) as error:
        _say(f"{path} is passed over, and judged again: {error}")
        return None


def _key(one: Toolchain, what: Sequence[str], code: str) -> str:
    """Of all that decides a result."""
    facts: list[object] = [SCHEMA, one.version, what, code, _machine(), platform.release(), os.cpu_count()]
    facts += [os.environ.get(name, "") for name in _BUILD_VARIABLES]
    # Of the history, what it says of this release: the rest of it may grow.
    facts += [issue.id for issue in known.shipped() if issue.affects(one.version)]
    if "/" in one.spec or Path(one.spec).exists() or one.spec == "go":
        # Somebody may work on it.
        facts += [str(one.goroot), _digest_of([*(one.goroot / "src").rglob("*"), one.go], contents=False)]
    return _digest(facts)


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _digest_of(paths: Sequence[Path], contents: bool = True) -> str:
    """Of the files' names and contents, or of their names, sizes and times."""
    digest = hashlib.sha256()
    measured = (history.FILE, history.pictures_of())
    for path in sorted(paths):
        if path.is_file() and "__pycache__" not in path.parts and path not in measured:
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
    pictures = history.read_pictures(path)
    for one in found:
        if one["verdict"] != UNAVAILABLE and _PUBLISHED.fullmatch(one["version"]) and one["proofs"]:
            cells = history.cells(one["proofs"], known.shipped())
            before = releases.get(one["version"], {"cells": {}})["cells"]
            libc = _machine()["libc"]
            whole = history.together(before, cells)
            releases[one["version"]] = {"golib": version, "libc": libc, "cells": whole}
            for name, some in one["pictures"].items():
                # Of the newest release; and of the proof, for what the others of the suite show is larger.
                older = name not in pictures or version_key(pictures[name][0]) <= version_key(one["version"])
                if some and older and one["ran"] != "suite":
                    pictures[name] = one["version"], some[0]
    write_atomically(path, history.text(releases))
    write_atomically(history.pictures_of(path), history.pictures_text(pictures))


_PUBLISHED = re.compile(r"\d+\.\d+(\.\d+|rc\d+)")


def _as_release(
    version: str, one: Mapping[str, Any], pictures: Mapping[str, tuple[str, dict[str, Any]]]
) -> dict[str, Any]:
    """A release of the history as the page wants it."""
    there = [issue for issue in known.shipped() if issue.id in one["cells"]]
    shown = [issue for issue in there if issue.affects(version)]
    tests = {}
    for issue in shown:
        cell = one["cells"][issue.id]
        tests[f"the proof of {issue.id}, in {cell['shown']} of {cell['runs']} runs"] = issue.id
    return {
        "version": version,
        "verdict": KNOWN if shown else CLEAN,
        "issues": {issue.id: {"effect": issue.effect, "tests": 1} for issue in shown},
        "counts": {"proofs run": len(there)},
        "tests": tests,
        "ran": "proofs",
        "proofs": one["cells"],
        "pictures": {name: [picture] for name, (release, picture) in pictures.items() if release == version},
    }


def show_history(arguments: Sequence[str]) -> int:
    """``golib history [FILE]`` prints for each known issue since which release it shows, and until which."""
    parser = argparse.ArgumentParser(
        "golib history",
        description="Which Go releases have which fault, as it was measured.",
        allow_abbrev=False,
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="instead of the history that golib ships")
    parser.add_argument("--html", metavar="PAGE", help="write it there as one self-contained page")
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
    if given.html:
        from golib.show import page  # jinja2 is for this alone

        try:
            _writable(Path(given.html))
            pictures = history.read_pictures(path)
            found = [_as_release(name, one, pictures) for name, one in releases.items()]
            how = (
                "golib ran the smallest case of each known issue with each of these Go releases, as a C"
                " shared library in a process of its own, as often as it takes to see it."
            )
            text = page.render({"releases": found}, known.shipped(), how)
            write_atomically(Path(given.html).absolute(), text)
        except (UsageError, history.HistoryError) as error:
            return _complain(str(error), USAGE, "history")
    names = list(releases)
    print(f"{len(names)} releases, {names[0]} to {names[-1]}" if names else "no release")
    for issue in known.shipped():
        seen = history.measured(releases, issue)
        ranges = history.ranges(seen) if seen else issue.releases
        spans = ", ".join(known.range_text(*one) for one in ranges) or "not seen"
        print(f"{issue.id:<9} {issue.effect:<11} {spans}{'' if seen else ' (not measured)'}")
    return FINE
