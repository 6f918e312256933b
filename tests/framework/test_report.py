"""What a user reads: the trace as a table, the summary, the files of results."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from broken import Break, breaking

from golib import C, Case, Go
from golib.case.script import Phase
from golib.door import Subject
from golib.judge.known import Verdict
from golib.judge.model import Divergence, Rule
from golib.judge.outcome import Kind, Outcome, signature_of
from golib.run.trace import Event
from golib.show.report import (
    CROSSINGS,
    ROWS,
    STDERR_LINES,
    Results,
    behaviour,
    cell,
    failure,
    headline,
    replayed,
    summary,
    table,
    write_atomically,
)

CASE = Case(Go(C(Go())))


@pytest.fixture(scope="module")
def passed(subject: Subject) -> Outcome:
    return subject.run(CASE)


def wrong(events: tuple[Event, ...], index: int, field: str = "lo") -> Divergence:
    event = events[index]
    return Divergence(
        *(event.node, "Go()", event.phase, event.side, field, 0x1000, 0x2000, Rule.RESTORED, index)
    )


def marks(lines: list[str]) -> dict[int, str]:
    """The mark of each event's line."""
    found = {}
    for line in lines[1:]:
        words = line[4:].split()
        if line[:2] == "  " and line[2] in " !>" and words and words[0].isdigit():
            found[int(words[0])] = line[2]
    return found


# The table.


def test_each_event_is_a_line_that_shows_where_and_what(passed: Outcome) -> None:
    head, *lines = table(CASE, passed.events, (), None)
    assert head.split() == ["#", "t", "node", "sched.sp", "g0", "lo", "g0", "hi", "acc", "queries"]
    assert len(lines) == len(passed.events)
    # The thread's first event: it has no M yet.
    assert lines[0].split() == ["0", "0", "Go()", "before", "C", "-", "-", "-", "-", "0"]
    entered, line = passed.events[1], lines[1].split()
    values = entered.values
    assert (entered.phase, entered.in_go) == (Phase.ENTERED, True)
    assert line == [
        *("1", "0", "Go()", "entered", "Go"),
        *(f"{values[name]:x}" for name in ("sched_sp", "lo", "hi")),
        *("yes" if values["accurate"] else "no", str(entered.queries)),
    ]
    # Depth is indentation.
    assert lines[2].index("C()") == lines[1].index("Go()") + 2


def test_the_offending_row_is_marked_and_what_was_expected_stands_below(passed: Outcome) -> None:
    events = passed.events
    found = [wrong(events, 3), wrong(events, 5), wrong(events, 5, "accurate")]
    lines = table(CASE, events, found, 5)
    assert {index: mark for index, mark in marks(lines).items() if mark != " "} == {3: "!", 5: ">"}
    row = next(number for number, line in enumerate(lines) if line.startswith("  >"))
    assert [line.strip() for line in lines[row + 1 : row + 3]] == [
        "lo: expected 0x1000, seen 0x2000",
        "accurate: expected 4096, seen 8192",
    ]
    assert sum("expected" in line for line in lines) == 2


def test_of_a_long_trace_the_rows_around_the_offending_one_are_shown(passed: Outcome) -> None:
    events = passed.events * 20
    for index, first in ((0, 0), (100, 100 - ROWS // 2), (len(events) - 1, len(events) - ROWS)):
        lines = table(CASE, events, [wrong(events, index)], index)
        assert list(marks(lines)) == list(range(first, first + ROWS))
        assert marks(lines)[index] == ">"
        assert (f"({first} events before)" in "\n".join(lines)) == bool(first)


def test_of_a_long_trace_that_broke_off_the_last_rows_are_shown(passed: Outcome) -> None:
    events = passed.events * 20
    assert list(marks(table(CASE, events, (), None))) == list(range(len(events) - ROWS, len(events)))


def test_a_trace_without_events_is_a_head_alone() -> None:
    assert len(table(CASE, (), (), None)) == 1


# A failure.


def diverged(passed: Outcome, *found: Divergence, stderr: str = "") -> Outcome:
    return Outcome(
        *(CASE, Kind.DIVERGENCE, str(found[0]), signature_of(found[0]), found, passed.events, 0, stderr),
        ran=CASE,
    )


def test_the_decisive_divergence_leads_also_behind_a_known_one(passed: Outcome) -> None:
    known, new = wrong(passed.events, 3, "queries"), wrong(passed.events, 5)
    outcome = diverged(passed, known, new)
    verdict = Verdict("failed", ("go#1",), signature_of(new), 1)
    text = failure(outcome, verdict, "go1.26.8", "pytest x")
    assert text.startswith(f"go1.26.8: divergence: {new}\nended: exit status 0\n")
    assert headline(outcome, verdict) == f"divergence: {new}"
    before = passed.events[3]
    assert f"\n    node {before.node} (Go()), {before.phase.name.lower()} in {before.side}: queries\n" in text
    assert "\n  > node 2 (Go()), entered in Go: lo\n        after a callback everything is as it was" in text
    assert "lo: expected 0x1000, seen 0x2000" in text
    assert f"    {CASE!r}\n" in text
    assert "seed: when it returns, the outer callback has its old stack bounds restored" in text
    assert text.endswith("\nrun it again: pytest x")
    assert "stderr" not in text
    text = failure(outcome, verdict, "go1.26.8", "pytest x", "golib reproduce y")
    assert text.endswith("\nrun it again: pytest x\nas a C + Go program: golib reproduce y")


def test_what_differs_at_one_crossing_by_one_rule_is_one_line(passed: Outcome) -> None:
    found = [wrong(passed.events, index, field) for index in range(8) for field in ("lo", "hi", "lo")]
    text = failure(diverged(passed, *found), Verdict("failed", (), signature_of(found[0]), 0), "go", "")
    shown = text.partition("what differs:\n")[2].partition("\n\n")[0].splitlines()
    crossings = [line for line in shown if line.lstrip("> ").startswith("node ")]
    assert len(crossings) == CROSSINGS < 8
    assert all(line.endswith(": lo, hi") for line in crossings)
    assert [line.startswith("  > ") for line in crossings] == [True] + [False] * (CROSSINGS - 1)
    assert shown[-1] == f"    and at {8 - CROSSINGS} more crossings"


def test_the_decisive_divergence_is_listed_however_many_known_ones_come_first(passed: Outcome) -> None:
    found = [wrong(passed.events, index) for index in range(8)]
    text = failure(diverged(passed, *found), Verdict("failed", (), signature_of(found[7]), 7), "go", "")
    assert re.search(r"^  > node ", text, re.MULTILINE)


def test_of_a_long_stderr_the_end_is_shown(passed: Outcome) -> None:
    found = wrong(passed.events, 3)
    verdict = Verdict("failed", (), signature_of(found), 0)
    said = "".join(f"line {number}\n" for number in range(100))
    text = failure(diverged(passed, found, stderr=said), verdict, "go", "")
    assert "the end of stderr:\n" in text
    assert f"    line {100 - STDERR_LINES}\n" in text
    assert f"line {99 - STDERR_LINES}\n" not in text
    assert "\nstderr:\n    short\n" in failure(diverged(passed, found, stderr="short\n"), verdict, "go", "")


def test_a_death_shows_what_differed_before_it(broken: Subject) -> None:
    outcome = broken.run(Case(Go(breaking(Break.MASK)), breaking(Break.ABORT)))
    text = failure(outcome, Verdict("failed", (), outcome.signature, 0), "go", "")
    assert text.startswith("go: signal: died by SIGABRT\nended: SIGABRT\n")
    assert "what differed before:\n  > node 0 (Go()), after in C: sigmask\n        a callback gives" in text
    # Nobody knows that it is to blame for the end.
    assert ">" not in marks(text.splitlines()).values()


def test_what_was_replayed_shows_its_signature_and_its_trace_whatever_came_of_it(passed: Outcome) -> None:
    lines = replayed(passed, Verdict("passed", (), passed.signature, 0))
    assert lines[:3] == ["signature: passed: passed", "the case:", f"    {CASE!r}"]
    assert lines[3:] == ["the trace:", *table(CASE, passed.events, (), None), ""]
    found = wrong(passed.events, 5)
    lines = replayed(diverged(passed, found), Verdict("failed", (), signature_of(found), 0))
    assert lines[0] == f"signature: {signature_of(found)}"
    assert [index for index, mark in marks(lines[4:]).items() if mark == ">"] == [5]


# The summary.


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ("tests/runtime/test_main_thread.py::test_x[limit=1/2::y]", "main thread"),
        ("test_it.py::Test::test_x", "it"),
        ("deep/er/test_a_b_c.py::test_a", "a b c"),
        ("replay[0]", "replay"),
    ],
)
def test_a_test_file_is_a_behaviour(test: str, name: str) -> None:
    assert behaviour(test) == name


def row(test: str, toolchain: str, status: str, issue: str | None = None) -> dict[str, Any]:
    return {"test": f"{test}.py::t", "toolchain": toolchain, "status": status, "issue": issue}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], ""),
        ([row("a", "x", "passed")] * 12, "12 passed"),
        (
            [
                row("a", "x", "failed"),
                row("a", "x", "skipped"),
                *[row("a", "x", "known", "go#2")] * 3,
                row("a", "x", "known", "go#1, go#2"),
                row("a", "x", "passed"),
            ],
            "1 passed, 1 go#1, 4 go#2, 1 FAILED, 1 skipped",
        ),
    ],
)
def test_a_cell_counts_by_what_came_of_it(rows: list[dict[str, Any]], text: str) -> None:
    assert cell(rows) == text


def test_the_summary_is_behaviours_by_toolchains() -> None:
    rows = [
        row("test_b", "go1.23.4", "known", "go#68285"),
        row("test_b", "go1.27.3", "passed"),
        row("test_a_long_one", "go1.27.3", "failed"),
    ]
    assert summary(rows, ["go1.23.4", "go1.27.3"]) == [
        "behaviour   go1.23.4    go1.27.3",
        "a long one              1 FAILED",
        "b           1 go#68285  1 passed",
    ]


# The files.

ROWS_OF_TWO = [row("b", "x", "passed"), row("a", "x", "failed")]


def test_results_are_lines_while_running_and_a_document_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.json"
    results = Results(path, {"toolchains": [{"spec": "go", "version": "1.26.8"}]})
    lines = Results.lines_path(path)
    assert lines.name == "r.json.lines"
    for number, one in enumerate(ROWS_OF_TWO, 1):
        results.add(one)
        # On disk at once: whoever kills the run now finds it.
        assert list(map(json.loads, lines.read_text().splitlines())) == ROWS_OF_TWO[:number]
    assert not path.exists()
    results.finish()
    document = json.loads(path.read_text())
    assert document["results"] == ROWS_OF_TWO[::-1]
    assert (document["schema"], document["toolchains"]) == (1, [{"spec": "go", "version": "1.26.8"}])
    assert results.trouble == ""
    results.finish()
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["r.json", "r.json.lines"]


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = Results(None, {})
    results.add(ROWS_OF_TWO[0])
    results.finish()
    assert results.rows == ROWS_OF_TWO[:1]
    assert not list(tmp_path.iterdir())


def test_an_earlier_runs_lines_are_gone_when_a_run_begins(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for one in ROWS_OF_TWO:
        results = Results(path, {})
        results.add(one)
        results.finish()
    assert json.loads(Results.lines_path(path).read_text()) == ROWS_OF_TWO[1]


def test_a_full_disk_is_noted_and_costs_no_row(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    Results.lines_path(path).symlink_to("/dev/full")
    results = Results(path, {})
    for one in ROWS_OF_TWO:
        results.add(one)
    results.finish()
    assert results.trouble == f"{path} is incomplete: No space left on device"
    assert results.rows == ROWS_OF_TWO


LIMITED = f"""\
import resource, signal, sys
from pathlib import Path
from golib.show.report import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, {resource.RLIM_INFINITY}))
write_atomically(Path(sys.argv[1]), "new " * 10_000)
"""
"""No file may grow beyond 4 KiB: the write breaks off in the middle, as on a full disk."""


def test_what_cannot_be_written_whole_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path], "and no half of the new one"


def test_what_can_be_written_replaces_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")
    write_atomically(path, "new: µs")
    assert path.read_text(encoding="utf-8") == "new: µs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_summary_that_is_too_wide_is_turned() -> None:
    names = [f"go1.27.{number}" for number in range(20)]
    rows = [
        {"test": "test_a_place.py::t", "toolchain": name, "status": "passed", "issue": None} for name in names
    ]
    rows.append(rows[-1] | {"status": "failed"})
    assert len(summary(rows, names)[0]) > 100
    assert summary(rows, names, 60) == [
        "a place",
        "  go1.27.0 to go1.27.18 (19): 1 passed",
        "  go1.27.19: 1 passed, 1 FAILED",
    ]
    assert summary(rows, names[-1:], 60)[0].split() == ["behaviour", "go1.27.19"]
