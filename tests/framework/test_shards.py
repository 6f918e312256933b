"""A run in parts: each test in one of them, and the parts put together say what the whole would have said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from golib import commands, exhaustive, shards

ROOT = Path(__file__).parent.parent.parent
OLD = "1.23.4"
"""A release that fails in the smallest cases: go#68587."""
SECONDS = 120
"""For one run of pytest: only a broken golib needs them."""


def collected(*options: str) -> list[str]:
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "tests/runtime/test_fuzz.py",
                "tests/runtime/test_exhaustive.py",
            ),
            *("--collect-only", "-q", "-p", "no:cacheprovider", *options),
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_each_test_is_in_one_shard(go_on_path: object) -> None:
    whole = collected()
    parts = [collected(f"--golib-shard={number}/3") for number in (1, 2, 3)]
    assert sorted(line for part in parts for line in part) == sorted(whole)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("value", ["0/3", "4/3", "2", "a/b", "1/0", "1/20000"])
def test_a_shard_that_makes_no_sense_is_refused(value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--co", f"--golib-shard={value}", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=ROOT / "tests" / "embedding",
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert (
        f"--golib-shard {value}: it is K/N, the K-th of N parts, such as 1/4, of at most 10,000"
        in done.stderr
    )


def document(*blocks: int, shard: tuple[int, int] | None = (1, 2), **changes: Any) -> dict[str, Any]:
    rows = [
        {
            "test": f"test_exhaustive.py::t[block={number}]",
            "toolchain": "go1.27.4",
            "status": "known",
            "issue": "golib-1",
            "outcome": None,
            "exhaustive": {
                "block": number,
                "nodes": 3,
                "ran": 10,
                "known": {"golib-1": 1},
                "left_out": {"what never runs": 4},
                "refused": {},
            },
        }
        for number in blocks
    ]
    about = {"schema": 1, "toolchains": [{"version": "1.27.4"}], "machine": {}, "drawn": {"seed": "0"}}
    of = {"shard": {"number": shard[0], "of": shard[1]}} if shard else {}
    return {**about, **of, "results": rows, **changes}


def written(folder: Path, name: str, what: object) -> str:
    path = folder / name
    path.write_text(what if isinstance(what, str) else json.dumps(what))
    return str(path)


def test_the_whole_says_what_one_run_would_have_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = range(exhaustive.blocks(3))
    files = [written(tmp_path, f"{k}.json", document(*numbers[k::3], shard=(k + 1, 3))) for k in range(3)]
    assert commands.main(["merge", *files, "--json", str(tmp_path / "whole.json")]) == shards.FINE
    text = capsys.readouterr().out
    assert "every legal case of up to 3 nodes (160 cases) ran on go1.27.4: golib-1 and nothing else" in text
    whole = json.loads((tmp_path / "whole.json").read_text())
    assert sorted(map(str, whole["results"])) == sorted(map(str, document(*numbers)["results"]))
    assert "shard" not in whole


def test_a_shard_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [(f"{k}.json", document(*range(k, 16, 3), shard=(k, 3))) for k in (1, 2, 3)]
    files = [written(tmp_path, *part) for part in parts]
    assert commands.main(["merge", *files[::2]]) == shards.USAGE
    assert "shard 2 of 3 is missing; name its file, too" in capsys.readouterr().err
    # What a cluster came to is told as far as it goes.
    assert shards.tell(shards.merged(parts[::2], partly=True)) == shards.FINE
    assert "of 16 parts of every legal case" in capsys.readouterr().out


def test_a_failure_of_a_shard_is_one_of_the_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = document(3)
    bad["results"][0] |= {"status": "failed", "text": "fatal error: what its machine has said"}
    bad["shard"]["number"] = 2
    files = [written(tmp_path, "a", document(1)), written(tmp_path, "b", bad)]
    assert commands.main(["merge", *files]) == shards.FAILED
    said = capsys.readouterr().out
    assert "FAILED test_exhaustive.py::t[block=3] on go1.27.4" in said
    assert "fatal error: what its machine has said" in said


@pytest.mark.parametrize(("options", "named"), [(["--golib-shard=1/1"], "Case("), ([], "/")])
def test_what_failed_in_a_shard_runs_again_elsewhere(options: list[str], named: str, tmp_path: Path) -> None:
    """The file that a failure is kept in stays on the shard's machine, also where one shard is all."""
    cases = ["tests/runtime/test_exhaustive.py", "--golib-exhaustive=1", f"--go={OLD}", "-x"]
    cases += ["--golib-no-known-issues", f"--golib-failures={tmp_path}", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *cases, *options],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=ROOT,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert set(re.findall(r"--golib-replay=(Case\(|/)", done.stdout)) == {named}, done.stdout


def test_a_file_of_the_suite_is_found_from_anywhere(tmp_path: Path, go_on_path: object) -> None:
    arguments = shards.command("test_exhaustive.py", ["--collect-only", "-q", "--golib-shard=1/8"])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("::test_no_small_case_breaks_it") == 2


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (document(1), "test_exhaustive.py::t[block=1] on go1.27.4 stands in"),
        (document(2, toolchains=[]), "toolchains is [], and [{'version': '1.27.4'}] in"),
        (document(2, drawn={"seed": "1"}), "only shards of one run are put together"),
        (document(2, shard=(2, 3)), "parts is 3, and 2 in"),
        (document(2, shard=None), "is of no shard; `pytest --golib-shard K/N --golib-json FILE` writes one"),
        ("half a", "holds no JSON"),
        ([], "holds no results of a run; it is what --golib-json wrote"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: object, complaint: str
) -> None:
    files = [written(tmp_path, "a", document(1)), written(tmp_path, "b", other)]
    assert commands.main(["merge", *files]) == shards.USAGE
    assert complaint in capsys.readouterr().err
    assert commands.main(["merge", files[0], str(tmp_path / "none")]) == shards.USAGE
    assert (
        "cannot be read: No such file or directory; name a file of --golib-json's" in capsys.readouterr().err
    )
