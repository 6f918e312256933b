"""What a user reads: a failure as text, the table at the end, and the results as JSON."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import tempfile
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from golib.case.calltree import Case
from golib.case.script import Phase
from golib.judge import model
from golib.judge.known import Verdict
from golib.judge.model import Divergence, place, show
from golib.judge.outcome import Kind, Outcome
from golib.run.trace import Event
from golib.show import frames

ROWS = 40
"""Events that a failure shows: those around the offending one, or the last."""
CROSSINGS = 6
"""Crossings at which something differs that a failure lists; the trace marks them all."""
STDERR_LINES = 40
"""Lines of the child's stderr that a failure shows, from its end; the JSON of --failures has it all."""

NARROWEST = 40
"""Columns that the summary takes at least."""

SCHEMA = 1


def failure(outcome: Outcome, verdict: Verdict, toolchain: str, again: str, reproduce: str = "") -> str:
    """A failure, from what it is to how to run it again.  ``again``: a command line; ``reproduce``: the one
    that makes a C + Go program of it, where there can be one."""
    decisive = outcome.divergences[verdict.decisive] if outcome.divergences else None
    offending = decisive.index if decisive and outcome.kind is Kind.DIVERGENCE else None
    parts = [f"{toolchain}: {headline(outcome, verdict)}", f"ended: {outcome.ended}"]
    parts += ["", "the case:", f"    {outcome.case!r}"]
    if decisive is not None:
        parts += ["", "what differs:" if outcome.kind is Kind.DIVERGENCE else "what differed before:"]
        parts += differences(outcome.divergences, decisive)
    parts += ["", "the trace:", *table(outcome.case, outcome.events, outcome.divergences, offending)]
    stood = frames.of_the_library(outcome.stderr) if outcome.case.calls() else []
    if stood:
        parts += ["", "where the library stood:", *(f"    {line}" for line in stood)]
    if outcome.stderr.strip():
        lines = outcome.stderr.strip().splitlines()
        left_out = len(lines) - STDERR_LINES
        parts += ["", "the end of stderr:" if left_out > 0 else "stderr:"]
        parts += [f"    {line}" for line in lines[-STDERR_LINES:]]
    parts += ["", f"run it again: {again}"]
    parts += [f"as a C + Go program: {reproduce}"] if reproduce else []
    return "\n".join(parts)


def raised(outcome: Outcome, verdict: Verdict, again: str) -> str:
    """What stands below the traceback of a scenario that has failed by itself."""
    parts = ["the case:", f"    {outcome.case!r}"]
    if outcome.divergences:
        decisive = outcome.divergences[verdict.decisive]
        parts += ["", "what differs, beside:", *differences(outcome.divergences, decisive)]
    if outcome.stderr.strip():
        parts += ["", "stdout and stderr:"]
        parts += [f"    {line}" for line in outcome.stderr.strip().splitlines()[-STDERR_LINES:]]
    return "\n".join([*parts, "", f"run it again: {again}"])


def replayed(outcome: Outcome, verdict: Verdict) -> list[str]:
    """What a case came to that was run again by itself, below the line that says whether it passed."""
    offending = None
    if outcome.kind is Kind.DIVERGENCE:
        offending = outcome.divergences[verdict.decisive].index
    return [
        f"signature: {verdict.signature}",
        "the case:",
        f"    {outcome.case!r}",
        "the trace:",
        *table(outcome.case, outcome.events, outcome.divergences, offending),
        "",
    ]


def headline(outcome: Outcome, verdict: Verdict) -> str:
    """One line: the kind and Go's own words, or the decisive divergence."""
    if outcome.kind is Kind.DIVERGENCE:
        return f"divergence: {outcome.divergences[verdict.decisive]}"
    return f"{outcome.kind.value}: {outcome.headline}"


def differences(divergences: Sequence[Divergence], decisive: Divergence) -> list[str]:
    """What differs, a line for each crossing and rule; the decisive one comes first, marked."""
    groups: dict[tuple[object, ...], list[Divergence]] = defaultdict(list)
    for found in divergences:
        groups[found.node, found.index, found.phase, found.rule].append(found)
    shown = [group for group in groups.values() if decisive in group]
    shown += [group for group in groups.values() if decisive not in group]
    lines = []
    for found_together in shown[:CROSSINGS]:
        first = found_together[0]
        fields = ", ".join(dict.fromkeys(found.field for found in found_together))
        lines.append(
            f"  {'>' if decisive in found_together else ' '} node {first.node} ({first.label}), "
            f"{place(first)} in {first.side}: {fields}"
        )
        lines.append(f"        {first.rule.text} ({first.rule.source})")
    if len(groups) > CROSSINGS:
        lines.append(f"    and at {len(groups) - CROSSINGS} more crossings")
    return lines


def table(
    case: Case, events: Sequence[Event], divergences: Iterable[Divergence], offending: int | None
) -> list[str]:
    """The trace, a line an event: where, SP, g0's bounds, whether they are accurate, queries so far.
    The offending row is marked, and below it stands what was expected."""
    labels = {placed.number: "  " * (placed.depth - 1) + placed.node.label for placed in case.walk()}
    wrong: dict[int, list[Divergence]] = defaultdict(list)
    for found in divergences:
        wrong[found.index].append(found)
    centre = len(events) if offending is None else offending
    first = max(0, min(centre - ROWS // 2, len(events) - ROWS))
    threads = {tid: number for number, tid in enumerate(dict.fromkeys(event.tid for event in events))}
    numbers = model.crossings(events)
    width = min(44, max((len(label) for label in labels.values()), default=4))
    head = (
        f"    {'#':>4} t {'node':<{width}} {'':<12} {'sched.sp':>14} {'g0 lo':>14} {'g0 hi':>14} acc queries"
    )
    lines = [head]
    for index in range(first, min(first + ROWS, len(events))):
        event = events[index]
        values = event.values
        mark = ">" if index == offending else "!" if index in wrong else " "
        where = f"{event.phase.name.lower()} {event.side}"
        if event.phase in (Phase.CROSSING, Phase.CROSSED):
            where = f"{event.phase.name.lower()} {numbers[event.did]}"
        accurate = values.get("accurate")
        cells = [f"{values.get(name, 0):x}" if values else "-" for name in ("sched_sp", "lo", "hi")]
        flag = "-" if accurate is None else "yes" if accurate else "no"
        lines.append(
            f"  {mark} {index:>4} {threads[event.tid]} {labels.get(event.node, '?')[:width]:<{width}} "
            f"{where:<12} {cells[0]:>14} {cells[1]:>14} {cells[2]:>14} {flag:>3} {event.queries:>7}"
        )
        if index == offending:
            lines += [
                f"           {found.field}: expected {_shown(found, found.expected)}, "
                f"seen {_shown(found, found.seen)}"
                for found in wrong[index]
            ]
    if first:
        lines.insert(1, f"         ({first} events before)")
    return lines


def _shown(found: Divergence, value: object) -> str:
    return show(found.field, value)


# Results.


class Results:
    """The results of a run: kept, and written line by line beside the JSON file while running, so that
    an interrupted run keeps its verdicts."""

    def __init__(self, path: Path | None, about: Mapping[str, object]) -> None:
        """``about``: what else the document says of the run, by its keys."""
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self._about = dict(about)
        self._lines: TextIO | None = None
        self.trouble = ""
        """Why not everything could be written."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lines = self.lines_path(path).open("w", encoding="utf-8")

    @staticmethod
    def lines_path(path: Path) -> Path:
        """Where the lines are: ``r.json`` -> ``r.json.lines``."""
        return path.with_name(path.name + ".lines")

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if self._lines is not None and not self.trouble:
            with self._troubled():
                self._lines.write(json.dumps(row) + "\n")
                self._lines.flush()

    @contextlib.contextmanager
    def _troubled(self) -> Iterator[None]:
        """A full disk ends the writing, not the run: what was written stays."""
        try:
            yield
        except OSError as error:
            self.trouble = f"{self.path} is incomplete: {error.strerror}"

    def finish(self) -> None:
        """Writes the JSON file whole, or not at all."""
        if self.path is None or self._lines is None:
            return
        with self._troubled():
            self._lines.close()
        self._lines = None
        document = {
            "schema": SCHEMA,
            **self._about,
            "results": sorted(self.rows, key=lambda row: (row["test"], row["toolchain"])),
        }
        with self._troubled():
            write_atomically(self.path, json.dumps(document, indent=1) + "\n")


def check_writable(path: Path) -> None:
    """Raises OSError where ``write_atomically`` would: better before an hour of work than after it."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    with tempfile.NamedTemporaryFile(dir=path.absolute().parent, prefix=f".{path.name}."):
        pass


def write_atomically(path: Path, text: str) -> None:
    """The file has the whole text, or what it had before."""
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)  # noqa: PTH101 - mkstemp made it the owner's alone
        os.replace(name, path)  # noqa: PTH105 - the name came from mkstemp
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
        raise


def summary(rows: Sequence[Mapping[str, Any]], toolchains: Sequence[str], width: int = 0) -> list[str]:
    """Behaviours x toolchains: how many passed, which known issues were seen, how many failed.  Where that is
    wider than ``width`` columns (0: as wide as it gets), a block for each behaviour."""
    cells: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for result in rows:
        cells[behaviour(result["test"]), result["toolchain"]].append(result)
    behaviours = sorted({name for name, _ in cells})
    text = {key: cell(found) for key, found in cells.items()}
    name_width = max(map(len, [*behaviours, "behaviour"]))
    widths = [max(len(name), *(len(text.get((row, name), "")) for row in behaviours)) for name in toolchains]
    lines = ["  ".join([f"{'behaviour':<{name_width}}", *map(str.ljust, toolchains, widths)]).rstrip()]
    for row in behaviours:
        columns = [
            text.get((row, name), "").ljust(width) for name, width in zip(toolchains, widths, strict=True)
        ]
        lines.append("  ".join([f"{row:<{name_width}}", *columns]).rstrip())
    if width and max(map(len, lines)) > width:
        return list(_turned(text, behaviours, toolchains, width))
    return lines


def _turned(
    text: Mapping[tuple[str, str], str], behaviours: Sequence[str], toolchains: Sequence[str], width: int
) -> Iterator[str]:
    """A behaviour on a line, and below it a line for what toolchains came to: those in a row that came to the
    same share one."""
    for row in behaviours:
        yield row
        there = [name for name in toolchains if (row, name) in text]
        for content, group in itertools.groupby(there, key=lambda name: text[row, name]):
            names = list(group)
            head = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]} ({len(names)})"
            yield from textwrap.wrap(
                f"{head}: {content}",
                max(width, NARROWEST),
                initial_indent="  ",
                subsequent_indent="      ",
                break_on_hyphens=False,
                break_long_words=False,
            )


def behaviour(test: str) -> str:
    """A test file is a behaviour: ``tests/runtime/test_main_thread.py::test_x[...]`` -> ``main thread``; and
    what --replay names is one: ``replay[0]`` -> ``replay``."""
    stem = test.split("::")[0].partition("[")[0].rpartition("/")[2]
    stem = stem.removesuffix(".py").removeprefix("test_")
    return stem.replace("_", " ")


def cell(rows: Sequence[Mapping[str, Any]]) -> str:
    """``12 passed, 3 go#68285, 1 FAILED``."""
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        if row["status"] == "known":
            for issue in row["issue"].split(", "):
                counts[issue] += 1
        else:
            counts[row["status"]] += 1
    order = sorted(counts, key=lambda name: (name != "passed", name == "skipped", name == "failed", name))
    return ", ".join(f"{counts[name]} {name.upper() if name == 'failed' else name}" for name in order)
