"""What ``golib validate`` makes of results: verdicts, exit statuses, the page, and the history that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from golib import commands, validate
from golib.judge import history, known
from golib.judge.release import ours, release

ISSUES = known.shipped()


def row(test: str, status: str, issue: str | None = None, **more: Any) -> dict[str, Any]:
    outcome = {"kind": "fatal", "signature": "s", "headline": "</script><b>died"}
    return {"test": test, "status": status, "issue": issue, "outcome": outcome, **more}


def proof(issue: str, runs: int, shown: int, others: int = 0) -> dict[str, Any]:
    return {"issue": issue, "runs": runs, "shown": shown, "others": others}


FAILED = row("t::b", "failed", text="<script>alert(1)</script>", raised="Failed")
GONE = row("t::c", "failed", proof=proof("golib-4", 1, 0))


@pytest.mark.parametrize(
    ("rows", "verdict", "fail_on", "status"),
    [
        ([row("t::a", "passed")], "clean", ["crash"], 0),
        ([row("t::a", "known", "golib-1")], "known issues", [], 0),
        ([row("t::a", "known", "golib-1")], "known issues", ["hang"], 0),
        ([row("t::a", "known", "golib-1")], "known issues", ["hang", "crash"], 1),
        ([row("t::a", "known", "golib-1"), GONE], "gone", [], 0),
        ([row("t::a", "known", "golib-1"), GONE, FAILED], "new failures", [], 1),
    ],
)
def test_a_release_has_a_verdict_and_a_status(
    rows: list[dict[str, Any]], verdict: str, fail_on: list[str], status: int
) -> None:
    found = release(rows, ISSUES)
    assert found["verdict"] == verdict
    assert validate.status([found], fail_on) == status


def test_a_proof_that_showed_among_other_faults_counts() -> None:
    found = release([row("t::a", "known", "go#68587", proof=proof("golib-6", 9, 2))], ISSUES)
    assert list(found["issues"]) == ["golib-6", "go#68587"]
    found = release([row("t::a", "passed", proof=proof("golib-6", 9, 2, 2))], ISSUES)
    assert not found["issues"]


def test_what_golib_could_not_run_is_no_fault_of_go() -> None:
    harness = row("t::d", "failed") | {"outcome": {"kind": "harness"}}
    assert ours([FAILED, row("t::a", "passed")]) == []
    assert len(ours([harness, row("t::e", "failed", raised="OSError"), FAILED])) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["foo"], "foo: not a Go toolchain; name a release"),
        (["--json", "/nowhere/r.json"], "/nowhere/r.json cannot be written: No such file or directory; name"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert commands.main(["validate", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_damaged_result_is_judged_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.json"
    assert validate._kept(path) is None
    for text in ("", "[]", '{"schema": 2, "seconds": 1, "results": [1]}', '{"schema": 0}'):
        path.write_text(text)
        assert validate._kept(path) is None
        assert "is passed over" in capsys.readouterr().err


def test_the_history_agrees_with_the_list() -> None:
    """Where the cell's case is the list's proof of today."""
    wrong = [
        (issue.id, version, cell)
        for version, one in history.read().items()
        for issue in ISSUES
        if (cell := one["cells"].get(issue.id)) and cell["case"] == history.case_hash(issue)
        # What shows outside of an issue's range is another fault, which explains it all.
        if (bool(cell["shown"]) if issue.affects(version) else history.shows(cell)) != issue.affects(version)
    ]
    assert not wrong


def test_history_says_since_and_until(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["history"]) == 0
    said = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "1.23.5 and later" in said["golib-1"]
    assert said["go#72870"].endswith("1.21.0 - 1.23.7, 1.24.0 - 1.24.1")


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 9}', '{"schema": 1, "releases": {"1.21.0": {}}}'])
def test_what_is_no_history_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "h.json").write_text(text)
    assert commands.main(["history", str(tmp_path / "h.json")]) == 2
    assert "is no history of golib's" in capsys.readouterr().err
