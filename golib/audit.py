"""``golib audit``: which Go built the shared libraries of an environment, and which known issues they carry.

Files are read and nothing of them is loaded, unless ``--measure`` asks for it (golib.measure).
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from golib.files import folders
from golib.files.found import Looked, Progress, UnreadableError
from golib.judge import known
from golib.judge.known import EFFECTS
from golib.show import audit as show
from golib.show.audit import Audit

CLEAN, FINDINGS, USAGE = 0, 1, 2
"""Exit statuses."""
_QUIET_SECONDS = 2.0
"""Of reading before it says how far it is."""


class UsageError(Exception):
    """One sentence."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"golib audit: {message}; golib audit --help says what it takes")


def main(arguments: Sequence[str], version: Callable[[], str]) -> int:
    """Exit status 0 without known issues of the kinds of ``--fail-on``, 1 with some, 2 where the command line
    makes no sense or a place that was named cannot be read."""
    try:
        options = _parser().parse_args(arguments)
        audit = run(options.path, options)
    except UsageError as error:
        print(error, file=sys.stderr)
        return USAGE
    if options.format == "json":
        print(show.as_json(audit))
    elif options.format == "sarif":
        from golib.show import sarif

        print(sarif.as_sarif(audit, version()))
    else:
        print("\n".join(show.text(audit)))
    if options.format != "text":
        for why in audit.unreadable:
            print(why, file=sys.stderr)
    if audit.unreadable or not all(looked.whole for looked in audit.looked):
        return USAGE
    wanted = set(EFFECTS) if "any" in options.fail_on or not options.fail_on else set(options.fail_on)
    return FINDINGS if audit.kinds() & wanted else CLEAN


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "golib audit",
        description="Says which Go built the shared libraries of an environment and which known issues they"
        " carry. It reads files and loads nothing, unless --measure is given.",
    )
    parser.add_argument(
        "path",
        nargs="*",
        metavar="PATH",
        help="a library, a wheel, a folder, a virtual environment, an image (docker save, OCI); without one,"
        " the environment of this Python. With --measure, also the name of an installed distribution",
    )
    parser.add_argument("--format", choices=("text", "json", "sarif"), default="text")
    parser.add_argument(
        "--fail-on",
        action="append",
        default=[],
        choices=(*EFFECTS, "any"),
        help="the kinds of issues that make the exit status 1; repeatable; without it, any",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="LOAD each library that is named, and call it, in children of this process, at the places of"
        " `golib places`; each PATH is a library or an installed distribution; needs a C compiler",
    )
    parser.add_argument(
        "--call",
        action="append",
        default=[],
        metavar="MODULE:FUNCTION",
        help="what --measure calls: a function of yours that takes nothing and uses the library; its"
        " module is looked for in the current folder first; one for all PATHs, or one for each, in order",
    )
    return parser


def run(paths: Sequence[str], options: argparse.Namespace) -> Audit:
    """Raises UsageError."""
    audit = Audit([], [])
    progress = _Progress()
    issues = known.shipped()
    if options.measure:
        _measure(audit, paths, options.call, issues, progress)
        return audit
    if options.call:
        raise UsageError(
            "golib audit: --call says what --measure calls; add --measure, which loads the library"
        )
    for path in paths or [""]:
        try:
            looked = folders.look(path, progress) if path else folders.environment(progress)
        except UnreadableError as error:
            audit.unreadable.append(str(error))
            continue
        _judge(audit, looked, issues)
    return audit


def _judge(audit: Audit, looked: Looked, issues: Sequence[known.KnownIssue]) -> None:
    audit.looked.append(looked)
    for found in looked.found:
        if not found.binary.library and not found.binary.c:
            audit.without_c += 1
        else:
            audit.judged.append(show.judge(found, issues))


def _measure(
    audit: Audit,
    names: Sequence[str],
    calls: Sequence[str],
    issues: Sequence[known.KnownIssue],
    progress: Progress,
) -> None:
    """Raises UsageError."""
    from golib import measure  # what runs things is loaded here only
    from golib.toolchains import shipped, toolchain

    if not names or len(calls) not in (1, len(names)):
        raise UsageError(
            f"golib audit: --measure was given {len(names)} PATHs and {len(calls)} --call; it takes one PATH"
            " or more (a library, or an installed distribution), and --call MODULE:FUNCTION once or for each"
        )
    for call in calls:
        module, colon, function = call.partition(":")
        if not (module and colon and function) or "::" in call:
            raise UsageError(f"golib audit: --call {call!r} is not MODULE:FUNCTION, such as calls:evaluate")
    try:
        toolchain.check_platform()
    except toolchain.SpecError as error:
        raise UsageError(f"golib audit: --measure: {error}") from None
    for name, call in zip(names, [*calls] * (len(names) // len(calls)), strict=True):
        try:
            libraries = shipped.find(name)
        except shipped.ShippedError as error:
            audit.unreadable.append(str(error))
            continue
        for library in libraries:
            looked = folders.look(str(library.path), progress)
            judged = [show.judge(found, issues) for found in looked.found]
            print(f"golib audit: --measure loads {library.path} and calls {call}", file=sys.stderr)
            places = [folder for folder in (library.folder, str(Path.cwd())) if folder]
            try:
                found = measure.measure(library, call, places, judged[0].issues, progress)
            except measure.MeasureError as error:
                audit.unreadable.append(str(error))
                found = None
            audit.looked.append(looked)
            shown = frozenset(found.shown) if found else frozenset()
            audit.judged += [dataclasses.replace(one, shown=shown) for one in judged]
            if found:
                audit.measured.append(measure.as_json(found))
                audit.lines += [*measure.text(found), ""]


class _Progress:
    """A line on stderr, where it takes long."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def __call__(self, line: str) -> None:
        if time.monotonic() - self._begun > _QUIET_SECONDS:
            print(f"golib audit: {line}", file=sys.stderr, flush=True)
