"""python -m tools soak: does a very long search stay as small as it began, and leave nothing behind?

The fuzzer's cases run in chunks, in as many workers as one likes, with every case of up to so many nodes
among them where that is asked for.  A line now and then says what there is: processes, their memory and
descriptors, shared memory, files.  At the end all but the memory must be as before, and the memory of the
workers and of their fork servers no larger than early in the run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count, islice
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from golib import exhaustive, fuzz, options
from golib.case.calltree import Case
from golib.door import Subject
from golib.judge import known
from golib.toolchains import build, toolchain
from tools import base

CHUNK = 500
"""Cases that are drawn at once."""
TIMEOUT = 20.0
"""Seconds for each case, of which the fuzzer takes no more than its own."""
GROWTH = 1.1
"""Times what it held in the run's second quarter is what a process may hold in the last."""
SPARE = 64
"""Descriptors that it may have more: one that judges opens Go's files for a moment, some fifty."""
MARK = "GOLIB_SOAK"
"""A variable of the environment that all processes of a run inherit, also those whose parent is gone."""
SHM = Path("/dev/shm")


def main(argv: Sequence[str]) -> int:
    """Exit status 1 where memory grew, something was left behind or a case failed, 2 where the options make
    no sense."""
    parser = base.Parser("soak", __doc__)
    parser.add_argument("--go", metavar="SPEC", default="go", help="the Go that runs them")
    parser.add_argument("--cases", type=int, default=30_000, metavar="N", help="in all (30,000)")
    parser.add_argument(
        "--nodes", type=int, default=0, metavar="N", help="among them every one of up to N nodes (0: none)"
    )
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that search (2)")
    parser.add_argument("--every", type=float, default=10, metavar="SECONDS", help="between two lines (10)")
    given = parser.parse_args(argv)
    for option in ("cases", "workers", "every"):
        if getattr(given, option) <= 0:
            parser.error(f"--{option} {getattr(given, option)}: it must be more than 0")
    if not 0 <= given.nodes <= options.MOST_EXHAUSTIVE:
        parser.error(f"--nodes {given.nodes}: it must be from 0 to {options.MOST_EXHAUSTIVE}")
    try:
        toolchain.check_platform()
        chosen = base.one_go(given.go)
        for flavour in build.FLAVOURS:
            build.build(chosen, flavour=flavour)
    except (toolchain.SpecError, build.BuildError) as error:
        print(error, file=sys.stderr)
        return 2
    return _soak(given.go, Part(given.cases, given.nodes, given.workers), given.every)


@dataclass(frozen=True)
class Part:
    """What is searched: the whole of it, or what is one worker's."""

    cases: int
    nodes: int
    """Every case of up to so many stands among those that are drawn."""
    of: int
    """Workers."""
    number: int = 0
    """Which one's."""

    def chunks(self, version: str) -> Iterator[tuple[list[Case], int]]:
        """Cases, and up to how many nodes one always begins a child (``fuzz.rows``): a block of small ones
        and CHUNK drawn ones in turn, so that what both keep in memory is there early."""
        left = -(-self.cases // self.of)
        blocks = exhaustive.blocks(self.nodes)
        small = iter(range(self.number, blocks, self.of) if self.nodes else ())
        for number in count():
            for block in islice(small, 1):
                cases = exhaustive.plan(self.nodes).block(block, blocks)
                chunk = [case for case in cases if fuzz.runs_on(case, version)]
                if len(chunk) > left:  # a block runs as a whole, so that they can be counted
                    small = iter(())
                    break
                yield chunk, exhaustive.SMALL
                left -= len(chunk)
            if not left:
                return
            drawn = fuzz.generate(min(CHUNK, left), f"soak {self.number} {number}", version)
            yield drawn, 0
            left -= len(drawn)


@dataclass
class Process:
    """What /proc says of one."""

    pid: int
    rss: int
    """KiB."""
    descriptors: int


@dataclass
class Sample:
    """What there is of a run at one time."""

    ran: int
    processes: dict[int, Process] = field(default_factory=dict)
    shared: int = 0
    """Files in /dev/shm."""
    files: int = 0
    """In the run's folder for temporary files."""


def _soak(spec: str, whole: Part, every: float) -> int:
    os.environ[MARK] = str(os.getpid())
    # Told to end, it takes the workers along, which are daemons.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="golib-soak-") as folder:
        os.environ["TMPDIR"] = folder
        context = multiprocessing.get_context("spawn")
        ran, blocks, failed = (context.Value("q", 0) for _ in range(3))
        began, before = time.monotonic(), _sample(0, folder)
        parts = [
            context.Process(
                target=_work, args=(spec, replace(whole, number=number), ran, blocks, failed), daemon=True
            )
            for number in range(whole.of)
        ]
        for part in parts:
            part.start()
        samples = []
        while running := [part for part in parts if part.is_alive()]:
            wait([part.sentinel for part in running], timeout=every)
            samples.append(_sample(ran.value, folder))
            print(_line(time.monotonic() - began, samples[-1]), flush=True)
        after = _sample(ran.value, folder)
        ended = [part.exitcode for part in parts]
    faults = [*grown(samples), *left(before, after)]
    faults += [f"a worker ended with status {status}" for status in ended if status]
    faults += [f"{failed.value} findings that no known issue covers"] if failed.value else []
    seconds = time.monotonic() - began
    small = f", {among(whole, blocks.value)}" if whole.nodes else ""
    print(f"{after.ran:,} cases{small} in {seconds:.0f} s: {'; '.join(faults) or 'nothing grew'}")
    return 1 if faults else 0


def among(whole: Part, ran: int) -> str:
    """How much of all small cases is among those that ran: ``ran`` blocks."""
    blocks = exhaustive.blocks(whole.nodes)
    every = f"every legal one of up to {whole.nodes} nodes"
    return f"{every} among them" if ran == blocks else f"{ran} of {blocks} parts of {every} among them"


def _work(spec: str, part: Part, ran: Any, blocks: Any, failed: Any) -> None:
    """Searches, chunk after chunk."""
    chosen = base.one_go(spec)
    subject: Callable[[str], Subject] = cache(lambda flavour: Subject(build.build(chosen, flavour=flavour)))
    fuzzer = fuzz.Fuzzer(subject, chosen.version, known.shipped(), TIMEOUT)
    for chunk, small in part.chunks(chosen.version):
        search = fuzzer.search(chunk, small=small)
        with ran.get_lock(), blocks.get_lock():
            ran.value += search.ran
            blocks.value += bool(small)
        for finding in search.findings:
            print(f"{finding.signature}: {finding.case!r}", flush=True)
        with failed.get_lock():
            failed.value += len(search.findings)


def _sample(ran: int, folder: str) -> Sample:
    found = {process.pid: process for process in processes()}
    files = sum(len(names) for _, _, names in os.walk(folder))
    return Sample(ran, found, sum(1 for _ in SHM.iterdir()), files)


def processes() -> Iterator[Process]:
    """All that have the mark, but for this one; a process may end meanwhile."""
    mark = f"{MARK}={os.getpid()}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            status = (entry / "status").read_text()
            rss = next((int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line), 0)
            yield Process(int(entry.name), rss, sum(1 for _ in (entry / "fd").iterdir()))
        except OSError:
            continue


def _line(seconds: float, sample: Sample) -> str:
    rss = sorted((process.rss // 1024 for process in sample.processes.values()), reverse=True)
    most = max((process.descriptors for process in sample.processes.values()), default=0)
    return (
        f"{seconds:6.0f} s {sample.ran:9,} cases  {len(rss):3} processes, MiB {' '.join(map(str, rss))}; "
        f"descriptors at most {most}; {sample.shared} in {SHM}; {sample.files} files"
    )


def grown(samples: Sequence[Sample]) -> Iterator[str]:
    """The processes that hold more in the run's last quarter than in its second: in the first all is new."""
    quarter = len(samples) // 4
    if not quarter:
        yield "too few lines to say whether memory grew; take more cases, or a smaller --every"
        return
    then, now = _most(samples[quarter : 2 * quarter]), _most(samples[-quarter:])
    for pid in sorted(then.keys() & now.keys()):
        (rss, descriptors), (more, opened) = then[pid], now[pid]
        if more > GROWTH * rss:
            yield f"process {pid} grew from {rss} to {more} KiB"
        if opened > descriptors + SPARE:
            yield f"process {pid} had {descriptors} descriptors, then {opened}"


def _most(samples: Sequence[Sample]) -> dict[int, tuple[int, int]]:
    """The most memory and the most descriptors that each process had."""
    most: dict[int, tuple[int, int]] = {}
    for sample in samples:
        for pid, process in sample.processes.items():
            rss, descriptors = most.get(pid, (0, 0))
            most[pid] = max(rss, process.rss), max(descriptors, process.descriptors)
    return most


def left(before: Sample, after: Sample) -> Iterator[str]:
    # The one that watches over multiprocessing's names ends with this process.
    still = after.processes.keys() - before.processes.keys() - {_tracker()}
    if still:
        yield f"{len(still)} processes left behind: {' '.join(map(str, sorted(still)))}"
    if after.shared > before.shared:
        yield f"{after.shared - before.shared} more files in {SHM}"
    if after.files > before.files:
        yield f"{after.files} files left behind"


def _tracker() -> int:
    from multiprocessing import resource_tracker

    return getattr(resource_tracker._resource_tracker, "_pid", None) or 0
