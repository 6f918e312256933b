"""What an audit found, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from golib.files.found import Found, Looked
from golib.judge import affected
from golib.judge.affected import Affected
from golib.judge.known import EFFECTS, KnownIssue

SEEN_ON = ("linux", "amd64", "glibc")
"""Where the faults of the list were seen."""
SCHEMA = 1
TOGETHER_TEXT = (
    "each has a Go runtime of its own, and Go does not support two of them in one process"
    " (https://go.dev/issue/65050, https://go.dev/issue/18976). Seen on linux/amd64 with 1.23.4 and 1.27.4"
    " where a process loads two: the one that is loaded last takes the signal by which a runtime interrupts"
    " its goroutines (SIGURG). When a goroutine of the other one runs a loop without a call, the next garbage"
    " collection there waits for ever, and so does whoever calls that library"
)
TOGETHER_URL = "https://go.dev/issue/65050"


@dataclass(frozen=True)
class Judged:
    """A library or program that was found, and what is known of it."""

    found: Found
    issues: tuple[Affected, ...]
    unjudged: str
    """Why nothing can be said, or nothing."""
    shown: frozenset[str] = frozenset()
    """Ids of the issues that a short run has shown."""

    @property
    def where(self) -> tuple[str, str, str]:
        """GOOS, GOARCH and the C library, as far as they are known."""
        binary = self.found.binary
        system = {"ELF": "linux", "Mach-O": "darwin", "PE": "windows"}[binary.form]
        return binary.settings.get("GOOS", system), binary.machine, binary.libc

    @property
    def seen_there(self) -> bool:
        """Whether the list was made where this one runs; a program without a C library's name counts."""
        system, machine, libc = self.where
        return (system, machine) == SEEN_ON[:2] and libc in ("", SEEN_ON[2])

    @property
    def mode(self) -> str:
        """How it was built."""
        return self.found.binary.settings.get("-buildmode", "unknown")

    @cached_property
    def traits(self) -> dict[str, str]:
        """Of its settings, what changes what is said here."""
        settings = self.found.binary.settings
        names = ("-race", "-msan", "-asan", "GOEXPERIMENT", "GOFIPS140")
        return {name: settings[name] for name in names if settings.get(name)}

    @property
    def cgo(self) -> str:
        """``1``, ``0`` or ``unknown``."""
        return self.found.binary.settings.get("CGO_ENABLED", "unknown")

    @property
    def called(self) -> str:
        """In tables: the package, or the file's name."""
        if self.found.owner is not None:
            return str(self.found.owner)
        return printable((self.found.inside or self.found.path).rpartition("/")[2])


@dataclass
class Audit:
    """All of it."""

    looked: list[Looked]
    judged: list[Judged]
    without_c: int = 0
    """Go programs into which no C is linked: nothing of the list can happen to them."""
    unreadable: list[str] = field(default_factory=list)
    """Of the places that were named: a sentence each."""
    measured: list[dict[str, Any]] = field(default_factory=list)
    """What short runs came to, see golib.measure."""
    lines: list[str] = field(default_factory=list)
    """The same for people."""

    def kinds(self) -> set[str]:
        """The effects of all that was found."""
        return {one.issue.effect for judged in self.judged for one in judged.issues}

    def together(self) -> list[tuple[Looked, list[Judged]]]:
        """Where several libraries for one machine may come into one process."""
        found = []
        for looked in self.looked:
            its = set(map(id, looked.found))
            here = [one for one in self.judged if id(one.found) in its and one.found.binary.library]
            for where in dict.fromkeys(one.where[:2] for one in here):
                same = [one for one in here if one.where[:2] == where]
                if len(same) > 1:
                    found.append((looked, same))
        return found


def judge(found: Found, issues: Sequence[KnownIssue]) -> Judged:
    binary = found.binary
    why = affected.unjudged(binary.version, binary.release)
    if binary.form != "ELF":
        why = f"{binary.form}: the list was made on Linux"
    known = () if why else tuple(affected.affected(binary.release, issues))
    return Judged(found, known, why)


# Text.


def text(audit: Audit) -> list[str]:
    lines: list[str] = []
    if audit.judged:
        lines += [*_table(audit.judged), ""]
        lines += _details(audit.judged)
        lines += _issues(audit.judged)
    for looked, libraries in audit.together():
        names = ", ".join(dict.fromkeys(one.called for one in libraries))
        lines += [
            *_wrapped(
                f"{printable(looked.path)} has {len(libraries)} Go libraries ({names}): {TOGETHER_TEXT}."
            ),
            "",
        ]
    lines += audit.lines
    for looked in audit.looked:
        lines += [f"not looked at: {printable(str(problem))}" for problem in looked.problems]
        if looked.left_out:
            lines.append(f"not looked at: {looked.left_out:,} more in {printable(looked.path)}")
    lines += [printable(why) for why in audit.unreadable]
    if audit.looked:
        lines.append(_summary(audit))
    return lines


def _table(judged: Sequence[Judged]) -> list[str]:
    rows = [["library", "Go", "built as", *EFFECTS]]
    for one in judged:
        counts = [sum(issue.issue.effect == effect for issue in one.issues) for effect in EFFECTS]
        cells = ["unjudged", "", "", "", ""] if one.unjudged else [str(count or "-") for count in counts]
        rows.append([one.called, one.found.binary.version.partition(" ")[0], one.mode, *cells])
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            f"{cell:<{width}}" if column < 3 else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _details(judged: Sequence[Judged]) -> list[str]:
    lines = []
    for one in judged:
        binary = one.found.binary
        lines.append(printable(f"{one.called}: {one.found.name}" if one.found.owner else one.found.name))
        system, machine, libc = one.where
        said = [
            binary.version,
            f"built as {one.mode}" if one.mode != "unknown" else "build mode unknown",
            {"1": "with cgo", "0": "without cgo", "unknown": "cgo unknown"}.get(one.cgo, one.cgo),
            f"{system}/{machine}{f' with {libc}' if libc else ''}",
            *(f"{name}={value}" for name, value in one.traits.items()),
        ]
        main = binary.module or binary.path or "unknown"
        lines.append(printable(f"  {', '.join(said)}, main module {main}"))
        if one.unjudged:
            lines.append(f"  unjudged: {one.unjudged}")
        else:
            if not one.seen_there:
                lines.append(f"  the issues below were seen on {seen_on()} only")
            if affected.newer(binary.release):
                lines.append(
                    f"  newer than the list, which ends at {affected.last()[-1]}: what is open may be fixed"
                )
            if binary.version != f"go{binary.release}":
                lines.append("  judged by its number; whoever built this Go may have changed it")
    return [*lines, ""]


def _issues(judged: Sequence[Judged]) -> list[str]:
    """Each once, with the releases that have it."""
    lines = []
    those = {issue.issue.id: issue.issue for one in judged for issue in one.issues}
    fixed_in = {found.issue.id for one in judged for found in one.issues if found.first}
    for issue in sorted(those.values(), key=lambda one: (EFFECTS.index(one.effect), one.id not in fixed_in)):
        lines.append(f"{issue.effect} {issue.id}: {issue.trigger}")
        by: dict[str, list[str]] = {}
        for one in judged:
            for found in one.issues:
                if found.issue is issue:
                    shown = " (a short run has shown it)" if issue.id in one.shown else ""
                    by.setdefault(fixed(found, one.found.binary.release), []).append(one.called + shown)
        for remedy, names in by.items():
            lines += [f"  {line}" for line in _wrapped(f"{remedy}: {', '.join(dict.fromkeys(names))}", 108)]
    return [*lines, ""] if lines else []


def fixed(issue: Affected, release: str) -> str:
    if not issue.first:
        return "open"
    line = ".".join(release.split(".")[:2])
    never = "" if issue.same_line else f", never in {line}"
    return f"fixed in {issue.fixed}{never}"


def _summary(audit: Audit) -> str:
    with_issues = sum(bool(one.issues) for one in audit.judged)
    unjudged = sum(bool(one.unjudged) for one in audit.judged)
    rest = f", {unjudged} unjudged" if unjudged else ""
    found = (
        f"{len(audit.judged)} with Go: {with_issues} with known issues{rest}"
        if audit.judged
        else "no Go found"
    )
    if audit.without_c:
        programs = "program" if audit.without_c == 1 else "programs"
        found += f"; {audit.without_c} Go {programs} without C, which the list is not about"
    if audit.unreadable or any(looked.problems or not looked.whole for looked in audit.looked):
        found += "; not all could be looked at"
    return found


def seen_on() -> str:
    return f"{SEEN_ON[0]}/{SEEN_ON[1]} with {SEEN_ON[2]}"


def _wrapped(sentence: str, width: int = 110) -> list[str]:
    lines, line = [], ""
    for word in sentence.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
    return [*lines, line]


def printable(name: str) -> str:
    """Names come from files that anybody may have made: no control characters reach a terminal."""
    return "".join(
        char
        if char.isprintable()
        else char.encode("unicode_escape", "replace").decode()
        if not "\ud800" <= char <= "\udfff"
        else f"\\x{ord(char) & 0xFF:02x}"
        for char in name
    )


# JSON.


def as_json(audit: Audit) -> str:
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "list": {
            "issues": "golib/judge/known_issues.toml",
            "history": "golib/judge/history.json",
            "newest": affected.last()[-1],
        },
        "places": [
            {
                "path": looked.path,
                "kind": looked.kind,
                "whole": looked.whole,
                "problems": [
                    {"path": one.path, "inside": one.inside, "why": one.why} for one in looked.problems
                ],
                "problems_left_out": looked.left_out,
            }
            for looked in audit.looked
        ],
        "libraries": [_library(one) for one in audit.judged],
        "without_c": audit.without_c,
        "together": [
            {
                "path": looked.path,
                "libraries": [one.found.name for one in libraries],
                "known": TOGETHER_TEXT,
                "url": TOGETHER_URL,
            }
            for looked, libraries in audit.together()
        ],
        "unreadable": audit.unreadable,
    }
    if audit.measured:
        document["measured"] = audit.measured
    return json.dumps(document, indent=2)


def _library(one: Judged) -> dict[str, Any]:
    binary, owner = one.found.binary, one.found.owner
    system, machine, libc = one.where
    return {
        "path": one.found.path,
        "inside": one.found.inside,
        "package": {"name": owner.name, "version": owner.version, "kind": owner.kind} if owner else None,
        "go": binary.version,
        "release": binary.release,
        "build_mode": one.mode,
        "cgo": one.cgo,
        "format": binary.form,
        "library": binary.library,
        "os": system,
        "arch": machine,
        "libc": libc or "unknown",
        "settings": one.traits if binary.settings else "unknown",
        "main": binary.path,
        "module": binary.module,
        "unjudged": one.unjudged or None,
        "newer_than_the_list": bool(binary.release) and not one.unjudged and affected.newer(binary.release),
        "issues": [
            {
                "id": issue.issue.id,
                "url": issue.issue.url if issue.issue.url.startswith("http") else None,
                "effect": issue.issue.effect,
                "title": issue.issue.title,
                "trigger": issue.issue.trigger,
                "seen_on": list(issue.issue.platforms),
                "seen_on_this_platform": one.seen_there,
                "measured_on_this_release": issue.measured,
                "shown": issue.issue.id in one.shown,
                "fixed": {
                    "same_line": issue.same_line or None,
                    "first": issue.first or None,
                    "newest_line": issue.newest_line or None,
                    "open": not issue.first,
                },
            }
            for issue in one.issues
        ],
    }
