"""The search: what shows seldom is kept with its evidence and a rate, and what a row holds is known.

The bridge is built with C frames that act by a plan: a file of one letter for each time that such a frame
runs, so that a fault shows in the runs that the test chooses, and in no other.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broken import edited, overlay_of

import golib
from golib import C, Case, Go, Stack, Thread, fuzz
from golib.case.calltree import Ignore, Notify, Reset, Stop, TurnOff, TurnOn
from golib.door import Subject, first_matters
from golib.fuzz import AGAIN, FEW, RETRIES, ROW, Failures, Finding, Fuzzer, Search
from golib.judge import known
from golib.judge.known import KnownIssue
from golib.judge.outcome import Kind, Outcome
from golib.toolchains.build import BRIDGE, build
from golib.toolchains.toolchain import Toolchain

PLANNED = 7_100_001
"""Bytes that no honest case asks a C frame to hold: this one follows the plan."""

SECONDS = 8.0
"""For a case: each takes some milliseconds, and none hangs."""

_C = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void golib_planned(struct node *n)
{
	char plan[256];
	int file, size;

	if (n->stack != %d)
		return;
	n->stack = 0;
	file = open("%s", O_RDWR);
	size = read(file, plan, sizeof plan);
	if (size <= 0 || ftruncate(file, 0) || pwrite(file, plan + 1, size - 1, 0) != size - 1)
		plan[0] = '.';
	close(file);
	if (plan[0] == 'x')
		abort();
	if (plan[0] == 'h')
		_exit(3);
}

void golib_frame_c("""


def write_overlay(folder: Path) -> Path:
    """Go's overlay file for the bridge that follows the file ``plan`` in that folder."""
    source = BRIDGE / "frames.c"
    honest = "\tgolib_record(n, GOLIB_ENTERED);\n\tfor (round"
    edited(source, honest, honest.replace(";\n", ";\n\tgolib_planned(n);\n"), folder)
    name = edited(folder / source.name, "void golib_frame_c(", _C % (PLANNED, folder / "plan"), folder)
    return overlay_of(folder, {str(source.resolve()): name})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planned")


@pytest.fixture(scope="module")
def planned(go_on_path: Toolchain, testrun_uid: str, folder: Path) -> Subject:
    return golib.open(build(go_on_path, overlay=write_overlay(folder), session=testrun_uid))


Searching = Callable[..., Search]


@pytest.fixture
def search(planned: Subject, go_on_path: Toolchain, folder: Path) -> Searching:
    """``search(plan, *cases)``: what the fuzzer makes of the cases while the plan is followed."""

    def searching(plan: str, *cases: Case, issues: tuple[KnownIssue, ...] = ()) -> Search:
        (folder / "plan").write_text(plan)
        fuzzer = Fuzzer(lambda flavour: planned, go_on_path.version, issues, SECONDS)
        return fuzzer.search(cases)

    return searching


FRAME = C(stack=PLANNED)
FAULTY = Case(Go(FRAME))
BEFORE = Case(Go(), C(Go()))
GROWN = Case(*BEFORE.trees, *FAULTY.trees)

ALONE = "." * 2 * RETRIES
"""The plan for the runs alone, of the case and of what it grew to."""


def only(search: Search) -> Finding:
    [finding] = search.findings
    return finding


# What showed once.


def test_what_shows_once_in_a_row_is_kept_with_all_that_is_known_of_it(search: Searching) -> None:
    found = search("x", BEFORE, FAULTY, Case(Go()))
    finding = only(found)
    assert (found.ran, found.first, finding.count) == (3, 2, 1)
    assert finding.signature.kind == "signal"
    runs = 1 + 2 * RETRIES + 3 * AGAIN
    assert finding.rate == pytest.approx(1 / runs)
    assert finding.note == (
        f"seen in 1 of {runs} runs: in the search in 1 of 1, alone in 0 of {RETRIES}, "
        f"grown to one case in 0 of {RETRIES}, as it stood in 0 of {AGAIN}, "
        f"alone under load in 0 of {AGAIN}, as it stood under load in 0 of {AGAIN}"
    )
    # The case is all that the child ran, and the outcome is that of the search.
    assert finding.case == finding.ran == finding.outcome.case == GROWN
    assert finding.outcome.ended == "SIGABRT"
    # The whole trace: from the first case to the frame that died.
    events = finding.outcome.events
    labels = {placed.number: placed.node.label for placed in GROWN.walk()}
    assert (events[0].node, labels[events[-1].node]) == (0, FRAME.label)


def test_what_was_seen_before_is_counted(planned: Subject, go_on_path: Toolchain, folder: Path) -> None:
    """By a hunt, or at an edge: one case after the other, each alone."""
    (folder / "plan").write_text("x" * RETRIES)
    fuzzer, found = Fuzzer(lambda flavour: planned, go_on_path.version, (), SECONDS), Search()
    outcome = planned.run(FAULTY)
    for _ in range(3):
        fuzzer.look_at(outcome, found)
    assert (found.ran, only(found).count) == (3, 3)


def test_what_shows_again_as_it_stood_has_that_rate(search: Searching) -> None:
    # After the first, the runs are as it stood, alone under load, as it stood under load, and so on.
    finding = only(search(f"x{ALONE}x..x", BEFORE, FAULTY))
    assert f"as it stood in 2 of {AGAIN}" in finding.note
    assert finding.rate == pytest.approx(3 / (1 + 2 * RETRIES + 3 * AGAIN))
    assert finding.case == finding.outcome.case == GROWN


def test_the_smallest_case_that_showed_it_again_is_kept(search: Searching) -> None:
    finding = only(search(f"x{ALONE}xx", BEFORE, FAULTY))
    assert f"as it stood in 1 of {AGAIN}, alone under load in 1 of {AGAIN}" in finding.note
    assert finding.case == finding.outcome.case == FAULTY
    assert finding.ran == GROWN


def test_what_shows_always_is_reduced_as_ever(search: Searching) -> None:
    finding = only(search("x" * 256, BEFORE, FAULTY))
    assert finding.case == Case(FRAME)
    assert (finding.rate, finding.note, finding.ran) == (1.0, "", None)


def test_what_was_golibs_own_fault_once_is_told_as_that(search: Searching) -> None:
    finding = only(search("h", BEFORE, FAULTY))
    assert finding.signature.kind == "harness"
    assert finding.outcome.kind is Kind.HARNESS
    assert finding.case == GROWN


def test_a_case_behind_one_that_died_stands_behind_what_its_own_child_ran(
    planned: Subject, folder: Path
) -> None:
    (folder / "plan").write_text("xx")
    row = [Case(Go(), FRAME), BEFORE, FAULTY]
    outcomes = planned.run_in_a_row(row, SECONDS)
    assert [outcome.kind for outcome in outcomes] == [Kind.SIGNAL, Kind.PASSED, Kind.SIGNAL]
    sighting = fuzz._Sighting.of(row, outcomes, 2)
    assert sighting.row == (BEFORE, FAULTY)
    assert sighting.evidence.case == GROWN


def test_what_shows_seldom_is_a_file_with_its_rate_and_what_ran_before_it(
    search: Searching, tmp_path: Path
) -> None:
    finding = only(search(f"x{ALONE}.x", BEFORE, FAULTY))
    data = json.loads(Failures(tmp_path).keep(finding, "go1.26.8").read_text())
    assert (data["rate"], data["note"]) == (finding.rate, finding.note)
    assert Case.from_json(data["case"]) == FAULTY
    assert Case.from_json(data["ran"]) == GROWN


# Rows.


def test_what_only_a_first_case_can_show_is_the_first_of_its_row() -> None:
    special, plain, other = Case(Stack(Go())), Case(Go()), Case(Go(), bounds="hidden")
    assert first_matters(special)
    assert fuzz.rows([plain, special, other, plain, special], small=2) == [
        [plain],
        [special, plain],
        [other],
        [special],
    ]
    # A larger one only where the row before has some already.
    assert fuzz.rows([plain, special, *[plain] * FEW, special, plain], small=1) == [
        [plain, special, *[plain] * FEW],
        [special, plain],
    ]
    # What leaves the process another one is the last of its row.
    for leaves, restores in (
        (Case(Go(TurnOn())), Case(Go(TurnOn()), Go(TurnOff()))),
        (Case(Go(TurnOff()), on=("trace",)), Case(Go(TurnOff()), Go(TurnOn()), on=("trace",))),
        (Case(Go(Notify())), Case(Go(Notify()), Go(Stop()))),
        (Case(Go(Ignore())), Case(Go(Ignore()), Go(Reset()))),
    ):
        then = Case(Go(), on=leaves.on)
        assert fuzz.rows([leaves, then]) == [[leaves], [then]]
        assert fuzz.rows([restores, then]) == [[restores, then]]
    # Ordinary cases are as many in a row as ever.
    assert list(map(len, fuzz.rows([plain] * (ROW + 1)))) == [ROW, 1]


# Rates.

ISSUE = next(issue for issue in known.shipped() if issue.id == "golib-1")
RARE = dataclasses.replace(ISSUE, rate=0.04)
"""A fault that always shows, in a list that says that it shows seldom."""


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ("yyy", "it showed golib-1 in 4 of 4 runs; the list says at a rate of 0.04"),
        ("ynyy", "it showed golib-1 in 4 of 5 runs; the list says at a rate of 0.04"),
        ("ynn", None),
        ("nyn", None),
    ],
)
def test_a_rate_explains_what_shows_that_often_and_no_more(
    subject: Subject, go_on_path: Toolchain, shown: str, words: str | None
) -> None:
    left: Iterator[str] = iter(shown)
    often = fuzz.too_often(
        ["golib-1"],
        lambda: subject.run(ISSUE.proof if next(left) == "y" else Case(Go())),
        go_on_path.version,
        [RARE],
    )
    assert (str(often) if often else None) == words
    assert not list(left), "it ends once it is decided, and not before"


def test_an_issue_that_always_shows_is_not_run_again(go_on_path: Toolchain) -> None:
    def run() -> Outcome:
        raise AssertionError("it is not to be run")

    assert fuzz.too_often(["golib-1"], run, go_on_path.version, [ISSUE]) is None


def test_a_rare_issue_that_much_of_a_row_shows_is_a_finding(search: Searching) -> None:
    plain = Case(Go())
    found = search("", ISSUE.proof, plain, ISSUE.proof, plain, issues=(RARE,))
    assert found.known == {"golib-1": 2}
    finding = only(found)
    assert (finding.case, finding.count, finding.rate) == (ISSUE.proof, 2, 1.0)
    assert finding.note == "it showed golib-1 in 4 of 4 runs; the list says at a rate of 0.04"
    # One in four is no more than chance may bring, and what always shows is what it is.
    assert not search("", ISSUE.proof, plain, plain, plain, issues=(RARE,)).findings
    assert not search("", ISSUE.proof, ISSUE.proof, issues=(ISSUE,)).findings


# What was kept.


RIGHT = {"toolchain": "go", "count": 1, "case": Case(Thread(Go())).to_json()}
PANICS = {"trees": [{"node": "Go", "body": [{"node": "Panic"}]}]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("half a", "Expecting value"),
        ("[]", "it is no JSON object with a case, a count and a toolchain"),
        (json.dumps({"case": RIGHT["case"]}), "it is no JSON object with a case, a count and a toolchain"),
        (json.dumps({**RIGHT, "case": {"trees": [{"node": "Gone"}]}}), "is no node of a call tree"),
        (json.dumps({**RIGHT, "case": PANICS}), "panics with no recover"),
    ],
    ids=["no-json", "no-object", "no-toolchain", "no-node", "illegal"],
)
def test_a_kept_failure_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, text: str, why: str
) -> None:
    path = tmp_path / "signal-1.json"
    path.write_text(text)
    (tmp_path / "signal-2.json").write_text(json.dumps(RIGHT))
    failures = Failures(tmp_path)
    assert failures.cases("go") == [Case(Thread(Go()))]
    [(named, reason)] = failures.unreadable.items()
    assert named == path
    assert why in reason
