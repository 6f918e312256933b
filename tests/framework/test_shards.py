"""A run in parts: each test in one of them, and the parts put together say what the whole would have said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from golib import commands, exhaustive, shards

ROOT = Path(__file__).parent.parent.parent
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


@pytest.mark.parametrize("value", ["0/3", "4/3", "2", "a/b", "1/0"])
def test_a_shard_that_makes_no_sense_is_refused(value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--co", f"--golib-shard={value}", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=ROOT / "tests" / "embedding",
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"--golib-shard {value}: it is K/N, the K-th of N parts, such as 1/4" in done.stderr


def document(*blocks: int, **changes: Any) -> dict[str, Any]:
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
            },
        }
        for number in blocks
    ]
    about = {"schema": 1, "toolchains": [{"version": "1.27.4"}], "machine": {}, "drawn": {"seed": "0"}}
    return {**about, "results": rows, **changes}


def written(folder: Path, name: str, what: object) -> str:
    path = folder / name
    path.write_text(what if isinstance(what, str) else json.dumps(what))
    return str(path)


def test_the_whole_says_what_one_run_would_have_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = range(exhaustive.blocks(3))
    files = [written(tmp_path, f"{k}.json", document(*numbers[k::3])) for k in range(3)]
    assert commands.main(["merge", *files, "--json", str(tmp_path / "whole.json")]) == shards.FINE
    text = capsys.readouterr().out
    assert "every legal case of up to 3 nodes (160 cases) ran on go1.27.4: golib-1 and nothing else" in text
    whole = json.loads((tmp_path / "whole.json").read_text())
    assert sorted(map(str, whole["results"])) == sorted(map(str, document(*numbers)["results"]))
    assert commands.main(["merge", *files[:2]]) == shards.FINE
    assert "11 of 16 parts of every legal case" in capsys.readouterr().out


def test_a_failure_of_a_shard_is_one_of_the_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = document(3)
    bad["results"][0]["status"] = "failed"
    files = [written(tmp_path, "a", document(1)), written(tmp_path, "b", bad)]
    assert commands.main(["merge", *files]) == shards.FAILED
    assert "FAILED test_exhaustive.py::t[block=3] on go1.27.4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (document(1), "test_exhaustive.py::t[block=1] on go1.27.4 stands in"),
        (document(2, toolchains=[]), "toolchains is [], and [{'version': '1.27.4'}] in"),
        (document(2, drawn={"seed": "1"}), "only shards of one run are put together"),
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
    assert commands.main(["merge", str(tmp_path / "none")]) == shards.USAGE
    assert "cannot be read: No such file or directory" in capsys.readouterr().err
