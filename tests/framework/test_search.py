"""golib search: on a scheduler and workers of dask's, on this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from golib import commands, search

SECONDS = 240
WORKERS = 3


def golib(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "golib", "search", *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """The scheduler's address, and its workers."""
    pytest.importorskip("distributed", reason="no dask.distributed here: pip install 'pytest-golib[dask]'")
    dask = [sys.executable, "-m", "dask"]
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([*dask, *arguments], stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        started.append(process)
        return process

    try:
        scheduler = start("scheduler", "--host=127.0.0.1", "--port=0", "--no-dashboard")
        address = _read(scheduler, r"Scheduler at: +(tcp://\S+)")
        workers = [
            start("worker", address, "--nthreads=1", "--no-nanny", "--no-dashboard") for _ in range(WORKERS)
        ]
        for worker in workers:
            _read(worker, r"(Starting established connection)")
        yield address, workers
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _read(process: subprocess.Popen[str], pattern: str) -> str:
    assert process.stderr
    for line in process.stderr:
        if found := re.search(pattern, line):
            return found[1]
    pytest.fail(f"{process.args} ended without {pattern}")


def test_a_worker_that_is_killed_is_made_up_for(
    cluster: tuple[str, list[subprocess.Popen[str]]], tmp_path: Path
) -> None:
    address, workers = cluster
    whole = tmp_path / "whole.json"
    search = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "golib",
            "search",
            f"--on={address}",
            "--exhaustive=2",
            "--shards=6",
            f"--json={whole}",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert search.stdout
    for line in search.stdout:
        if line.startswith("[1/6]"):
            os.kill(workers[0].pid, signal.SIGKILL)
            break
    said, _ = search.communicate(timeout=SECONDS)
    assert search.returncode == 0, said
    assert re.search(r"^every legal case of up to 2 nodes \(\d+ cases\) ran on go", said, re.MULTILINE)
    assert len(json.loads(whole.read_text())["results"]) == 16


def test_where_no_shard_can_be_run_it_is_one_sentence(
    cluster: tuple[str, list[subprocess.Popen[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    status = commands.main(["search", f"--on={cluster[0]}", "--exhaustive=1", "--shards=4", "--go=1.2.3"])
    said = capsys.readouterr()
    assert status == search.USAGE
    assert re.search(r"golib search: shard \d/4: RuntimeError: .*1\.2\.3", said.err)
    assert said.err.count("\n") == 1


def test_a_shard_that_cannot_be_run_costs_no_other(
    cluster: tuple[str, list[subprocess.Popen[str]]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One comes from a machine that is another one."""
    address, _ = cluster
    right = search.shard

    def elsewhere(arguments: list[str], number: int, parts: int) -> dict[str, Any]:
        if number == 1:
            raise RuntimeError("no C compiler here")
        document = right(arguments, number, parts)
        return {**document, "machine": {"python": "another"}} if number == 2 else document

    monkeypatch.setattr(search, "shard", elsewhere)
    status = commands.main(["search", f"--on={address}", "--exhaustive=1", "--shards=4", "--seed=random"])
    said = capsys.readouterr()
    assert status == search.STOPPED
    assert said.out.count(" tests;") == 3
    assert "8 of 16 parts of every legal case of up to 1 nodes" in said.out
    raised, complaint = said.err.splitlines()
    assert raised.startswith("shard 1/4: RuntimeError: no C compiler here; it is not tried again: pytest ")
    assert complaint.startswith("shard 2/4: machine is {'python': 'another'}, and ")
    assert re.search(
        r"it is not tried again: pytest --config-file=\S+ .*--golib-shard=\d/4 \S+/test_exh", complaint
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--on=tcp://127.0.0.1:1", "--exhaustive=2", "--shards=-1"], "--shards -1: it is a number from 0"),
        (["--on=tcp://127.0.0.1:1", "--exhaustive=9"], "--exhaustive 9: it is a number from 1 to 4"),
        (
            ["--on=tcp://127.0.0.1:1", "--exhaustive=2", "--shards=20000"],
            "--shards 20000: it is a number from 0 to 10,000",
        ),
        (["--on=tcp://127.0.0.1:1", "--hunt=0"], "--hunt 0: it is a number from 1"),
        (
            ["--on=tcp://127.0.0.1:1", "--fuzz=1", "--json=/no/where.json"],
            "--json /no/where.json: it can't be written: No such file or directory; name another file",
        ),
        (["--on=tcp://127.0.0.1:1", "--fuzz=1", "--json=/"], "--json /: it can't be written: it is a folder"),
        (["--on=tcp://127.0.0.1:1", "--exhaustive=2"], ""),
    ],
)
def test_what_cannot_be_run_is_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("golib.search.SECONDS", 1)
    assert commands.main(["search", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"golib search: {said}")
    assert error.count("\n") == 1
    assert (
        said or "no scheduler of dask's answers there" in error or "pip install 'pytest-golib[dask]'" in error
    )
