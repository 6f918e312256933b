"""The execution trace of a process with callbacks is one that Go's own parser accepts: every goroutine and
thread in it begins, ends and changes as its rules allow (internal/trace).  It tells which thread ran what."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from golib import GC, Block, C, Case, Go, Panic, Python, Signal, Stack, Thread, Together, Wake, Yield

PARSE_SECONDS = 240
"""Building cmd/trace, once for each release, takes some 20 s, reading a trace some tenths of one."""

NESTED = Go(GC(), C(Go(Block(), C(Go(Wake())), Yield())))

CASES = {
    "nested callbacks": Case(NESTED, Python(NESTED), Stack(NESTED), NESTED, on=("trace",)),
    "threads one after the other": Case(
        Go(), C(Thread(Go(), Go(Block())), times=50), Thread(NESTED), Go(), on=("trace",)
    ),
    "threads at once": Case(C(Together(*(Thread(NESTED, Go()) for _ in range(4))), times=10), on=("trace",)),
    "threads that Go makes": Case(
        Go(Thread(C(NESTED), kind="go"), Thread(C(Go()), kind="go")), on=("trace",)
    ),
    "a panic": Case(Go(C(Go(C(Go(Panic())))), recover=True, deferred=(Block(),)), Go(), on=("trace",)),
    "signals on threads without an M": Case(
        *(Signal(), Thread(Signal(), C(), Signal(), Go(), Signal()), C(Thread(Signal(), Go()), times=20)),
        *(Go(), Thread(Signal())),
        on=("trace", "notify"),
    ),
    "signals all the time": Case(
        Thread(C(Go(), times=500)), C(Go(), times=500), on=("trace",), signals="SIGURG"
    ),
}


def parse(toolchain, path) -> tuple[str, set[int]]:
    """What the parser objects to, or nothing; and the threads that it tells of."""
    mode = "parsed" if toolchain.release >= (1, 24) else "1"
    own = {"GOTOOLCHAIN": "local", "GOROOT": str(toolchain.goroot), "GOFLAGS": ""}
    done = subprocess.run(
        [str(toolchain.go), "tool", "trace", f"-d={mode}", str(path)],
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PARSE_SECONDS,
        check=False,
    )
    objection = "" if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"
    return objection, {int(tid) for tid in re.findall(r"^M=(\d+) ", done.stdout, re.MULTILINE)}


@pytest.mark.parametrize("shape", CASES)
def test_go_accepts_its_own_trace(check, toolchain, tmp_path, shape):
    path = tmp_path / "trace"
    outcome = check.case(CASES[shape], str(path))
    assert path.stat().st_size > 0
    objection, told = parse(toolchain, path)
    assert objection == ""
    # An M that is handed on leaves its trace buffer behind, which names the thread (runtime/tracebuf.go).
    assert {event.tid for event in outcome.events if event.in_go} <= told
