"""One measurement, in a process that does nothing else: `python -S -m tools.bench_child`, not for hands.

The cost of a call can depend on what the process has mapped, so this one imports little, loads one bridge
and runs one loop. Its arguments are those of `main`; it prints JSON, see `Measured`.
"""

from __future__ import annotations

import itertools
import json
import mmap
import sys
import time
from collections.abc import Callable
from typing import TypedDict

from golib.case.calltree import C, Case, Go, Stack, Thread
from golib.run import binding
from golib.run.bench import Bench
from golib.run.regions import reserve_regions

NO_ROOM = 4
"""Exit status where the kernel has left no room for foreign stacks: another start will do."""

TREES = {
    "main-thread": Case(C()),
    "python-thread": Case(Thread(C(), kind="python")),
    "native-thread": Case(Thread(C())),
    "go-thread": Case(Go(Thread(C(), kind="go"))),
    "foreign-stack": Case(Stack(C())),
    "below-go": Case(Go(C())),
    "through-python": Case(C()),
    "hidden-bounds": Case(C(), bounds="hidden"),
}
"""Where the loop in C runs: its place is the C frame."""


class Measured(TypedDict):
    """What one loop came to."""

    calls: int
    ns: int
    """Of all calls together."""
    queries: int
    """Of pthread_getattr_np by the thread of the loop, meanwhile."""
    maps: int
    """Mappings of the process."""


def measure(path: str, shape: str, calls: int, goal: int, more_maps: int) -> Measured:
    """calls 0: as many as take goal ns. more_maps: mappings added to the process's own."""
    bridge = binding.Bridge(path)
    bench = Bench(bridge)
    bridge.wait_ready()
    go = bridge.function("GoEmpty")
    regions = reserve_regions() if shape == "foreign-stack" else {}
    # Neighbours with other rights, which the kernel can't join.
    rights = (mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE)
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    added = [mmap.mmap(-1, mmap.PAGESIZE, private, rights[n % 2]) for n in range(more_maps)]
    if shape in ("from-python", "empty-c-from-python"):
        loop = in_python(go if shape == "from-python" else bench.nothing, bench.queries, calls, goal)
    else:
        python = shape == "through-python"
        loop = bench.run(TREES[shape], calls, goal, regions, through_python=python)
    with open("/proc/self/maps") as maps:  # noqa: PTH123 - as few imports as can be
        count = sum(1 for _ in maps)
    del added
    return {"calls": loop[0], "ns": loop[1], "queries": loop[2], "maps": count}


def in_python(
    call: Callable[[], None], queries: Callable[[], int], calls: int, goal: int
) -> tuple[int, int, int]:
    """What golib_bench_loop does, by a loop in Python. Returns calls, ns and queries."""

    def time_of(calls: int) -> int:
        begin = time.perf_counter_ns()
        for _ in itertools.repeat(None, calls):
            call()
        return time.perf_counter_ns() - begin

    if calls:
        time_of(calls // 10 + 1)
        goal = 0
    calls = calls or 1
    while True:
        before = queries()
        taken = time_of(calls)
        if taken >= goal:
            return calls, taken, queries() - before
        calls *= 2


def main(argv: list[str]) -> None:
    """LIBRARY SHAPE CALLS GOAL_NS MAPS"""
    path, shape, calls, goal, more_maps = argv
    try:
        measured = measure(path, shape, int(calls), int(goal), int(more_maps))
    except binding.BindingError as error:
        print(error, file=sys.stderr)
        sys.exit(NO_ROOM)
    print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
