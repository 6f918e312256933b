"""What ``golib validate`` makes of results: verdicts, exit statuses, the page, and the history that ships."""

from __future__ import annotations

import fcntl
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from golib import commands, validate
from golib.judge import history, known
from golib.judge.release import ours, release
from golib.toolchains.toolchain import Toolchain

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
        (["--only", "golib-1"], "--only golib-1: it names proofs, add --proofs"),
        (["--proofs", "--only", "golib-99"], "--only golib-99: no known issue has this id"),
        (["--shard", "4/3"], "--shard 4/3: it is K/N, the K-th of N parts, such as 1/3"),
        (["--json", "/nowhere/r.json"], "/nowhere/r.json cannot be written: No such file or directory; name"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also while another golib validate is at work."""
    monkeypatch.setenv("GOLIB_CACHE", str(tmp_path))
    (tmp_path / "validate").mkdir()
    with (tmp_path / "validate" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert commands.main(["validate", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_damaged_result_is_judged_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.json"
    assert validate._kept(path) is None
    strange: dict[str, Any] = {"schema": 2, "seconds": 1, "results": [FAILED | {"text": {"a": 1}}]}
    for text in (
        "",
        "[]",
        "[" * 100_000,
        json.dumps(strange),
        '{"schema": 2, "seconds": 1, "results": [1]}',
        '{"schema": 0}',
    ):
        path.write_text(text)
        assert validate._kept(path) is None
        assert "is passed over" in capsys.readouterr().err


def test_one_place_says_which_releases_have_an_issue() -> None:
    """The history, as soon as each of its releases has a cell of the issue; until then the list, and what was
    measured agrees with it."""
    releases = history.read()
    entries = tomllib.loads(known.FILE.read_text())["issue"]
    for entry, issue in zip(entries, ISSUES, strict=True):
        seen = dict(history.measured(releases, issue))
        if "releases" in entry:
            cells = [one["cells"].get(issue.id, {}).get("case") for one in releases.values()]
            assert cells.count(history.case_hash(issue)) < len(cells), f"{issue.id}: all is measured"
        assert {version: issue.affects(version) for version in seen} == seen


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ("1.22.0", False),  # before the first cell
        ("1.23.4", True),
        ("1.23.9", True),  # between two cells: as the earlier one
        ("1.24.0", False),
        ("1.26.0", True),
        ("1.26.9", True),  # the newest shows it: it is open
        ("1.28rc1", True),
        ("devel go1.29-abc", True),
    ],
)
def test_a_release_has_what_was_measured_before_it(version: str, has: bool, tmp_path: Path) -> None:
    text = known.FILE.read_text()
    [entry] = [part for part in text.split("[[issue]]") if 'id = "golib-2"' in part]
    (tmp_path / "list.toml").write_text(f"[[issue]]{entry}")
    [issue] = [one for one in ISSUES if one.id == "golib-2"]
    cell = {"runs": 1, "others": 0, "case": history.case_hash(issue)}
    shown = {"1.23.0": 1, "1.24.0": 0, "1.25.0": 0, "1.26.0": 1}
    measured = {name: {"cells": {"golib-2": cell | {"shown": count}}} for name, count in shown.items()}
    # A cell of another case says nothing of this one.
    measured["1.24.5"] = {"cells": {"golib-2": cell | {"shown": 1, "case": "another"}}}
    [read] = known.read(tmp_path / "list.toml", measured)
    assert read.affects(version) is has
    assert read.releases_text == ("1.23.0", "1.26.0 and later")


def test_what_other_faults_hide_is_there_where_the_list_says_so() -> None:
    issue = next(one for one in ISSUES if one.masked)
    cell = {"runs": 1, "shown": 1, "others": 1, "case": history.case_hash(issue)}
    (first, _), *_ = issue.masked
    cells = {version: {"cells": {issue.id: cell}} for version in ("1.21.0", first)}
    assert history.measured(cells, issue) == (("1.21.0", False), (first, True))


def test_what_shows_at_a_rate_may_be_missed_between_two_releases_that_show_it() -> None:
    [rare] = [one for one in ISSUES if one.id == "golib-8"]
    cell = {"runs": 175, "others": 0, "case": history.case_hash(rare)}
    shown = {"1.25.0": 0, "1.26.0": 1, "1.26.1": 0, "1.26.2": 1, "1.26.3": 0, "1.27.0": 0}
    measured = {name: {"cells": {rare.id: cell | {"shown": count}}} for name, count in shown.items()}
    assert history.ranges(history.measured(measured, rare)) == (("1.26.0", "1.26.2"),)
    assert ("1.26.1", False) not in history.measured(measured, rare)


def test_a_release_that_is_measured_twice_adds_up() -> None:
    cell = {"runs": 70, "shown": 1, "others": 0, "case": "a"}
    silent = {"runs": 70, "shown": 0, "others": 0, "case": "a"}
    assert history.together({"x": cell}, {"x": silent}) == {"x": cell | {"runs": 140}}
    # Runs of another case do not.
    assert history.together({"x": cell, "y": cell}, {"x": silent | {"case": "b"}}) == {
        "x": silent | {"case": "b"},
        "y": cell,
    }


SHARD = {"number": 1, "of": 3, "key": "k"}


def part(number: int, version: str, **more: Any) -> tuple[str, dict[str, Any]]:
    releases = [{"version": version, **release([], ISSUES)}]
    return f"{number}.json", {
        "schema": 2,
        "golib": "0",
        "shard": SHARD | {"number": number} | more,
        "releases": releases,
    }


def test_shards_are_merged_in_order() -> None:
    parts = [part(2, "1.26.1"), part(3, "1.27.0"), part(1, "1.25.0")]
    whole = validate.merged(parts)
    assert [one["version"] for one in whole["releases"]] == ["1.25.0", "1.26.1", "1.27.0"]
    assert "shard" not in whole


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([part(1, "1.25.0"), part(3, "1.27.0")], "shard 2 of 3 is missing"),
        ([part(2, "1.25.0")], "shards 1, 3 of 3 are missing"),
        ([part(1, "1.25.0"), part(1, "1.27.0")], "1.json is shard 1, as 1.json is"),
        ([part(1, "1.25.0"), part(2, "1.27.0", key="other")], "2.json is of another run than 1.json"),
    ],
)
def test_what_is_no_whole_is_not_merged(parts: list[tuple[str, dict[str, Any]]], said: str) -> None:
    with pytest.raises(validate.UsageError, match=re.escape(said)):
        validate.merged(parts)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 2, "shard": {"number": 4, "of": 3}}', "\x00", "[" * 100_000]
)
def test_what_is_no_shard_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.json").write_text(text)
    assert commands.main(["merge", str(tmp_path / "s.json")]) == 2
    error = capsys.readouterr().err
    assert "is no shard" in error
    assert error.count("\n") == 1


def test_only_what_validate_fetched_is_removed(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    theirs = tmp_path / "golang.org" / "toolchain@v0.0.1-go1.2.3.linux-amd64"
    ours = modules / "golang.org" / "toolchain@v0.0.1-go1.2.4.linux-amd64"
    zips = modules / "cache/download/golang.org/toolchain/@v"
    for folder in (theirs, ours, zips):
        folder.mkdir(parents=True)
    (zips / "v0.0.1-go1.2.4.linux-amd64.zip").touch()
    ours.chmod(0o555)
    for folder in (theirs, ours):
        validate._remove(Toolchain("x", "1.2.3", folder), modules)
    assert theirs.exists()
    assert not ours.exists()
    assert not list(zips.iterdir())


def test_history_says_since_and_until(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["history"]) == 0
    said = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "1.23.5 and later" in said["golib-1"]
    assert said["go#72870"].endswith("1.21.0 - 1.23.7, 1.24.0 - 1.24.1")


def test_a_history_is_kept_with_a_picture_of_the_newest_release(tmp_path: Path) -> None:
    path = tmp_path / "h.json"
    for version, words in (("1.26.0", "a"), ("1.27.0", "b"), ("1.25.0", "c"), ("devel go1.28-abc", "d")):
        shown = {"signature": words, "issues": ["golib-1"], "steps": [], "case": "Case(Go())"}
        rows = [row("t", "passed", "golib-1", proof=proof("golib-1", 1, 1), picture=shown)]
        one = {"version": version, "ran": "proofs", **release(rows, ISSUES)}
        validate._keep_history(path, [one], "0")
    assert list(history.read(path)) == ["1.25.0", "1.26.0", "1.27.0"]
    version, picture = history.read_pictures(path)["golib-1"]
    assert (version, picture["signature"]) == ("1.27.0", "b")
    history.pictures_of(path).write_text('{"golib-1": 1}')
    with pytest.raises(history.HistoryError, match="has no pictures of a history's"):
        history.read_pictures(path)


def test_the_history_is_a_page(tmp_path: Path) -> None:
    assert commands.main(["history", "--html", str(tmp_path / "h.html")]) == 0
    text = (tmp_path / "h.html").read_text()
    assert "golib-1 shows in 1.27.4" in text
    assert "golib-1 does not show in 1.23.4" in text
    assert "that you asked for" not in text
    assert len(text) < 2_000_000


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 9}', '{"schema": 1, "releases": {"1.21.0": {}}}'])
def test_what_is_no_history_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "h.json").write_text(text)
    assert commands.main(["history", str(tmp_path / "h.json")]) == 2
    assert "is no history of golib's" in capsys.readouterr().err
