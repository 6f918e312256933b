"""The text of an issue for Go's tracker, made of a known issue or a case, its program, and what was seen."""

from __future__ import annotations

import re
from collections.abc import Sequence

from golib.case.calltree import Case
from golib.judge.known import KnownIssue
from golib.show.reproducer import Program

LINES = 30
"""Of a program's output."""
LINKS = 5
"""Lines of Go's source that are linked."""
_SOURCE = re.compile(r"\$GOROOT/src/(\S+\.(?:go|s)):(\d+)")
_RELEASE = re.compile(r"go\d[\d.]*(?:rc\d+|beta\d+)?")

Seen = tuple[str, bool, str, str]
"""Of one toolchain: its name, whether the program showed the fault, the line that says so, and its output."""


def issue(of: KnownIssue | None, case: Case, program: Program, seen: Sequence[Seen], mend: str = "") -> str:
    """Markdown.  ``mend``: a change of Go's that was tried, as a diff."""
    shown = next((one for one in seen if one[1]), None)
    title = of.title if of else (shown or seen[0])[2].partition(": ")[2]
    parts = [f"# runtime: {title}", ""]
    if of and of.note:
        parts += [of.note, ""]
    if of:
        parts += [f"Known to golib as {of.id}, in {', '.join(of.releases_text)}.", ""]
    parts += ["## What was seen", "", *(f"- {one[2]}" for one in seen), ""]
    parts += ["## What was expected", "", "The program prints `passed` and exits with status 0.", ""]
    if program.changes:
        parts += ["The program differs from golib's case:", "", *(f"- {one}" for one in program.changes), ""]
    parts += ["## The program", "", "`./run.sh` builds it and runs it; `GO=` names the go command.", ""]
    for name, text in program.files.items():
        if name != "go.mod":
            language = name.rpartition(".")[2]
            parts += [f"{name}:", "", f"```{language}", text.rstrip(), "```", ""]
    if shown:
        parts += [f"## Its output ({shown[0]})", "", "```", *_cut(shown[3]), "```", ""]
        if links := _links(shown):
            parts += ["## Where Go stood", "", *links, ""]
    if mend:
        parts += ["## A change that mends it", "", "```diff", mend.rstrip(), "```", ""]
    return "\n".join([*parts, "The case in golib's words:", "", f"    {case!r}", ""])


def _cut(output: str) -> list[str]:
    lines = output.strip().splitlines()
    return [*lines[:LINES], "..."] if len(lines) > LINES else lines


def _links(shown: Seen) -> list[str]:
    """Links to the lines of the runtime that the output names first, at that release."""
    release = _RELEASE.fullmatch(shown[0])
    if release is None:
        return []
    places = dict.fromkeys(_SOURCE.findall(shown[3]))
    url = f"https://github.com/golang/go/blob/{shown[0]}/src"
    return [f"- [{path}:{line}]({url}/{path}#L{line})" for path, line in list(places)[:LINKS]]
