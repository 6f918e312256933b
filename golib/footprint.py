"""What loading Go does to its host's process, by release: ``golib footprint``.

Observed in a process of its own (``golib.run.host``), and held against what os/signal's documentation and the
release notes let Go change.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from golib.run.host import MOMENTS, handler_of
from golib.toolchains import sanitizers
from golib.toolchains.build import Library

SECONDS = 60
"""For the process that is observed; it takes less than one."""

MAY_CHANGE = {
    **dict.fromkeys(
        map(handler_of, (signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV)),
        'os/signal, "Non-Go programs that call Go code": the Go runtime installs handlers for SIGBUS, SIGFPE'
        " and SIGSEGV",
    ),
    handler_of(signal.SIGPIPE): 'os/signal, "SIGPIPE"',
    "SigIgn": 'os/signal, "SIGPIPE": what has a handler is ignored no more',
    handler_of(signal.SIGURG): "Go 1.14 release notes: goroutines are preempted by SIGURG",
    handler_of(33): "silent: the C library's own, by which it tells its threads of setuid",
    "alternate stack": 'os/signal, "Go programs that use cgo or SWIG": signal handlers need one',
    **dict.fromkeys(
        ("RLIMIT_NOFILE", "RLIMIT_OFILE"),
        "Go 1.19 release notes, os: the soft limit on open files is raised to the hard one",
    ),
    "threads": "documentation of package runtime: GOMAXPROCS, and threads blocked in system calls",
    "descriptors": "silent: the poller",
    "address space, MB": "silent: the arenas of the heap",
    "mappings": "silent: the arenas of the heap",
}
"""What may be otherwise after the load than before it, and where that is written."""
STAYS = ("threads", "descriptors", "mappings", "address space, MB")
"""What threads that came and went may not add to, the second time."""
SLACK = {"threads": 3, "descriptors": 3, "mappings": 16, "address space, MB": 192}
"""By so much it may have grown all the same: the runtime makes threads as it needs them, the C library an
arena."""


class FootprintError(Exception):
    """The process that was to be observed has failed: one sentence."""


@dataclass(frozen=True)
class Footprint:
    """What was seen at each moment of ``MOMENTS``, by the names of the properties."""

    seen: tuple[Mapping[str, Any], ...]

    def changed(self) -> dict[str, tuple[Any, ...]]:
        """The properties that were not the same all the time, with their values."""
        values = {name: tuple(moment.get(name) for moment in self.seen) for name in self.seen[0]}
        return {name: of for name, of in values.items() if any(one != of[0] for one in of)}

    def wrong(self) -> list[str]:
        """What Go may not change, and has: a sentence each."""
        found = [
            f"{name} was {values[0]}, and is {values[-1]} after Go was loaded and called"
            for name, values in self.changed().items()
            if name not in MAY_CHANGE
        ]
        for name in STAYS:
            *_, before, after = (moment[name] for moment in self.seen)
            if after - before > SLACK[name]:
                found.append(f"{name}: {before} became {after} by threads that called Go and ended")
        return found


def footprint(library: Library) -> Footprint:
    """Of a library with golib's bridge.  Raises FootprintError."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "golib.run.host", str(library.path)],
            env=os.environ | dict(sanitizers.variables(library)),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FootprintError(
            f"{library.toolchain.name}: the process did not end within {SECONDS} s"
        ) from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise FootprintError(f"{library.toolchain.name}: the process ended with {done.returncode}: {said}")
    return Footprint(tuple(json.loads(done.stdout)))


def table(found: Mapping[str, Footprint]) -> list[str]:
    """By property: what it was before the load, and what became of it in each release, by the moment."""
    lines = []
    names = dict.fromkeys(name for one in found.values() for name in one.changed())
    for name in names:
        became: dict[str, list[str]] = {}
        for release, one in found.items():
            values = [moment.get(name) for moment in one.seen]
            new = [(MOMENTS[at], value) for at, value in enumerate(values) if at and value != values[at - 1]]
            text = ", ".join(f"{moment}: {value}" for moment, value in new) or "as before"
            became.setdefault(text, []).append(release)
        lines.append(f"{name}: {next(iter(found.values())).seen[0].get(name)}")
        for text, releases in became.items():
            lines.append(f"    {'each' if len(became) == 1 else ', '.join(releases)}: {text}")
    kept = [name for name in next(iter(found.values())).seen[0] if name not in names]
    handlers = [name for name in kept if name.startswith("handler of ")]
    rest = ", ".join(name for name in kept if name not in handlers)
    return [*lines, f"as before in each: {len(handlers)} handlers of signals, {rest}"]


def wrong(found: Mapping[str, Footprint]) -> list[str]:
    """Each change that nothing lets Go make, by toolchain."""
    return [f"{name}: {sentence}" for name, one in found.items() for sentence in one.wrong()]
