"""tools.soak: what it says of processes that grow and of what is left behind."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from golib import exhaustive
from tools import soak
from tools.soak import Part, Process, Sample


def _samples(*rss: int, descriptors: int = 9) -> list[Sample]:
    return [Sample(0, {7: Process(7, one, descriptors)}) for one in rss]


def test_what_is_held_early_may_be_held_late() -> None:
    assert list(soak.grown(_samples(10, 900, 1000, 1000, 1050, 1000, 1000, 1090))) == []


def test_a_process_that_grows_is_named() -> None:
    assert list(soak.grown(_samples(10, 900, 1000, 1000, 1050, 1000, 1000, 1200))) == [
        "process 7 grew from 1000 to 1200 KiB"
    ]


def test_descriptors_that_stay_open_are_counted() -> None:
    samples = [*_samples(*[1000] * 6), *_samples(1000, 1000, descriptors=90)]
    assert list(soak.grown(samples)) == ["process 7 had 9 descriptors, then 90"]


def test_a_run_too_short_to_judge_says_so() -> None:
    assert "too few lines" in next(soak.grown(_samples(10, 20, 30)))


def test_what_is_left_behind_is_named() -> None:
    after = Sample(9, {7: Process(7, 1000, 9)}, shared=3, files=1)
    assert list(soak.left(Sample(0, shared=2), after)) == [
        "1 processes left behind: 7",
        "1 more files in /dev/shm",
        "1 files left behind",
    ]


def test_a_process_whose_parent_is_gone_is_still_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(soak.MARK, str(os.getpid()))
    code = "import subprocess as s; print(s.Popen(['cat'], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=reading, capture_output=True, text=True, check=True
        )
        assert int(done.stdout) in {process.pid for process in soak.processes()}
    finally:
        os.close(writing)  # which ends it
        os.close(reading)


def test_a_senseless_option_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        soak.main(["--workers", "0"])
    assert ended.value.code == 2
    assert "--workers 0: it must be more than 0" in capsys.readouterr().err


def test_each_small_case_stands_in_one_worker_s_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "CHUNK", 5)
    every = exhaustive.plan(2).block(0, 1)
    wanted = 2 * len(every)
    parts = [list(Part(wanted, 2, 3, number).chunks("")) for number in range(3)]
    small = [case for part in parts for chunk, first in part for case in chunk if first]
    assert sorted(map(repr, small)) == sorted(map(repr, every))
    assert wanted <= sum(len(chunk) for part in parts for chunk, _ in part) < wanted + 3


def test_no_more_run_than_are_asked_for() -> None:
    assert [len(chunk) for chunk, _ in Part(20, 2, 1).chunks("")] == [20]


def test_small_cases_run_in_whole_parts_or_not_at_all() -> None:
    blocks = [exhaustive.plan(2).block(number, exhaustive.blocks(2)) for number in range(2)]
    first, second = map(len, blocks)
    for spare, wanted in ((-1, blocks[:1]), (0, blocks)):
        whole = Part(first + soak.CHUNK + second + spare, 2, 1)
        assert [chunk for chunk, small in whole.chunks("") if small] == wanted


def test_small_cases_that_did_not_run_are_told() -> None:
    whole = Part(20, 2, 1)
    assert soak.among(whole, 15) == "15 of 16 parts of every legal one of up to 2 nodes among them"
    assert soak.among(whole, 16) == "every legal one of up to 2 nodes among them"
