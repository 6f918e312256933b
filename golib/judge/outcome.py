"""Evidence -> Outcome: how the child ended, in Go's words where it has any, and what the trace shows.

Pure.  Classified by stderr first, then by wait status: c-shared forces Go's crash mode, so a throw
dies by SIGABRT, ``fatal: morestack on g0`` by SIGTRAP, and a bare exit(2) in the runtime says no
"fatal error:".  A sanitizer of the build (-race, -asan) ends the process with its report.

What the machine could not give is nobody's fault but ours: no memory, no thread, a SIGKILL from elsewhere.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from golib.case.calltree import Case
from golib.judge import model
from golib.judge.model import Divergence
from golib.judge.ranges import holds, read
from golib.run.trace import HARNESS_STATUS, OUT_OF_TIME, Ended, Event, Record


class Kind(Enum):
    """How a case ended."""

    PASSED = "passed"
    DIVERGENCE = "divergence"  # it ran to its end, and something was not as it must be
    FATAL = "fatal"  # the runtime ended the process, in its own words or by exit(2)
    SIGNAL = "signal"  # it died by a signal, and Go said nothing
    HANG = "hang"
    LOST = "lost"  # exit status 0, and the case had not come to its end
    ALIVE = "alive"  # it came to its end, and should have died as the case says
    RAISED = "raised"  # a scenario's own exception: neither Go's fault nor golib's
    HARNESS = "harness"  # our fault, never blamed on Go


@dataclass(frozen=True, order=True)
class Signature:
    """What makes two failures the same fault."""

    kind: str
    headline: str
    """Normalised: numbers and addresses are gone.  For a divergence, its rule and field."""
    frames: tuple[str, ...] = ()
    """The runtime's own functions on top of the stack that Go printed, or that a hung child was seen in most
    often."""
    after: tuple[str, ...] = ()
    """Of a death: what was wrong before it, as keys of divergences."""

    def same_fault(self, other: Signature) -> bool:
        """Whether both are the same fault in cases of other shapes: what died, where, and why; not what
        lay below it on the stack, nor what was wrong before."""
        return (self.kind, self.headline, self.frames[:1]) == (other.kind, other.headline, other.frames[:1])

    def __str__(self) -> str:
        frames = f" in {' < '.join(self.frames)}" if self.frames else ""
        after = f" after {', '.join(self.after)}" if self.after else ""
        return f"{self.kind}: {self.headline}{frames}{after}"


@dataclass(frozen=True)
class Outcome:
    """What a case came to, with everything that was seen."""

    case: Case
    kind: Kind
    headline: str
    signature: Signature
    divergences: tuple[Divergence, ...]
    """Also of a case that died: what was wrong before it did."""
    events: tuple[Event, ...]
    status: int
    """The child's wait status."""
    stderr: str
    ran: Case
    """All that the child had run by the end of this case, as one case: this one alone, or behind those
    before it in its row."""
    reports: str = ""
    """Of a scenario: pytest's reports of its test, see ``golib.run.trace.Ended``."""
    samples: tuple[tuple[str, ...], ...] = ()
    """Of a hang: the runtime's frames, as in its signature, each time that the child was looked at, in
    order."""

    @property
    def ended(self) -> str:
        """The wait status in words: ``exit status 2``, ``SIGABRT``."""
        return wait_status(self.status)

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """Of the end if it was a bad one, of each divergence otherwise."""
        if self.kind is Kind.DIVERGENCE:
            return tuple(dict.fromkeys(signature_of(found) for found in self.divergences))
        return (self.signature,)


def wait_status(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"exit status {os.waitstatus_to_exitcode(status)}"


def signature_of(found: Divergence) -> Signature:
    return Signature(Kind.DIVERGENCE.value, found.key)


def dies(case: Case, version: str) -> str:
    """What the process must die of with that release; empty where it survives."""
    if isinstance(case.dies, str):
        return case.dies
    return next((text for range, text in case.dies if version and holds(read(range), version)), "")


def judge(case: Case, ended: Ended, stack_guard: int | None = None, version: str = "") -> Outcome:
    """What the case came to.  stack_guard: runtime.stackGuard in bytes, where DWARF has it.  version: the Go
    release, for a case that dies by release."""
    record = ended.record
    complete = ended.status == 0 and record.finished > 0
    found = tuple(model.divergences(case, record.events, complete=complete, stack_guard=stack_guard))
    kind, headline = _end(ended, complete)
    if expected := dies(case, version):
        if complete:
            kind, headline = Kind.ALIVE, f"it came to its end, and should have died of: {expected}"
        elif kind is Kind.FATAL and expected in headline:
            kind, headline = Kind.PASSED, "passed"
    outcome = _outcome(case, kind, headline, found, record.events, ended.status, ended.stderr, case)
    return replace(outcome, reports=ended.reports)


def _outcome(
    case: Case,
    kind: Kind,
    headline: str,
    found: tuple[Divergence, ...],
    events: tuple[Event, ...],
    status: int,
    stderr: str,
    ran: Case,
) -> Outcome:
    frames: tuple[str, ...] = ()
    samples: tuple[tuple[str, ...], ...] = ()
    if kind is Kind.HANG:
        samples = _sampled(stderr)
        frames = _most_telling(samples) if samples else _runtime_frames(stderr)
    elif kind in (Kind.FATAL, Kind.SIGNAL):
        said = stderr.partition(OUT_OF_TIME)[0]
        frames = _reported_frames(said) if _report(said) else _runtime_frames(said)
    after = () if kind is Kind.HARNESS else tuple(sorted({one.key for one in found}))
    signature = Signature(kind.value, normalise(headline), frames, after)
    if kind is Kind.PASSED and found:
        kind, headline, signature = Kind.DIVERGENCE, str(found[0]), signature_of(found[0])
    return Outcome(case, kind, headline, signature, found, events, status, stderr, ran, samples=samples)


def judge_program(case: Case, status: int, stderr: str, *, timed_out: bool, complete: bool) -> Outcome:
    """How a program ended that was made from the case (``golib.show.reproducer``): it has no trace, only its
    wait status and its words.  Of one whose time had run out, stderr has the stacks that Go printed, and each
    is read as one of a hung child's."""
    if timed_out:
        stacks = "\n\n".join(f"{HUNG_THREAD}{stack}" for stack in stderr.split("\n\n"))
        stderr = f"{OUT_OF_TIME}{SAMPLE}\n{stacks}"
    ended = Ended(status, stderr, timed_out, Record((), int(complete), ""))
    kind, headline = _end(ended, complete)
    return _outcome(case, kind, headline, (), (), status, stderr, case)


def judge_row(cases: Sequence[Case], ended: Ended, stack_guard: int | None = None) -> list[Outcome]:
    """What each case came to that was run in a row in one child: all that came to their end, and the
    one in which the child died.  To the model they are one case that has grown.

    How the child ended is the last one's, also where all of them had come to their end."""
    record = ended.record
    finished = min(record.finished, len(cases))
    whole = ended.status == 0 and finished == len(cases)
    ran = cases[: finished if whole else finished + 1]
    grown = [
        case.having(*(tree for before in ran[: number + 1] for tree in before.trees))
        for number, case in enumerate(ran)
    ]
    found = model.divergences(grown[-1], record.events, complete=whole, stack_guard=stack_guard)
    ends = list(itertools.accumulate(case.size() for case in ran))
    divergences: list[list[Divergence]] = [[] for _ in ran]
    events: list[list[Event]] = [[] for _ in ran]
    for one in found:
        divergences[min(bisect_right(ends, one.node), len(ran) - 1)].append(one)
    for event in record.events:
        events[min(bisect_right(ends, event.node), len(ran) - 1)].append(event)
    outcomes = []
    for number, case in enumerate(ran):
        own = tuple(divergences[number])
        kind, headline, status, stderr = Kind.PASSED, "passed", 0, ""
        if number == len(ran) - 1:
            kind, headline = _end(ended, whole)
            status, stderr = ended.status, ended.stderr
        outcomes.append(
            _outcome(case, kind, headline, own, tuple(events[number]), status, stderr, grown[number])
        )
    return outcomes


def _end(ended: Ended, complete: bool) -> tuple[Kind, str]:
    # When its time runs out it may be dying already: Go relays SIGQUIT from thread to thread, and may
    # hang in that.
    said = ended.stderr.partition(OUT_OF_TIME)[0]
    words = _report(said) or _go_words(said)
    if ended.record.fault:
        fault = ended.record.fault
        return Kind.HARNESS, _scarce(fault) or fault
    if ended.timed_out and not words:
        return Kind.HANG, "it did not come to its end in time"
    if ended.status == 0 and ended.raised:
        return Kind.RAISED, ended.raised
    if ended.status == 0 and ended.reports and not ended.record.finished:
        return Kind.PASSED, "passed"  # a fixture has skipped the test, and no case was to run
    if complete:
        return Kind.PASSED, "passed"
    if os.WIFEXITED(ended.status) and os.WEXITSTATUS(ended.status) == HARNESS_STATUS:
        return Kind.HARNESS, "the child gave up without saying why"
    if scarce := _scarce(said):
        return Kind.HARNESS, scarce
    if words:
        return Kind.FATAL, words
    if os.WIFSIGNALED(ended.status) and os.WTERMSIG(ended.status) == signal.SIGKILL:
        return Kind.HARNESS, KILLED
    if os.WIFSIGNALED(ended.status):
        return Kind.SIGNAL, f"died by {wait_status(ended.status)}"
    if ended.status == 0:
        return Kind.LOST, "exit status 0 before the case had come to its end"
    return Kind.FATAL, f"{wait_status(ended.status)} without a word"


KILLED = (
    "died by SIGKILL, which neither Go nor golib has sent; see whether the memory ran out (dmesg, the memory"
    " limit of a container) or who kills processes here, and run it again"
)
"""golib itself kills a child that hangs, and that is a hang."""

_GIB = 1 << 30
_MOST_AT_ONCE = 4 * _GIB
"""Bytes: no leaf asks the runtime for so much (calltree.Grow).  Where it wants more, it has gone astray."""

_SCARCE = (
    (
        re.compile(
            r"^.*(?:pthread_create failed: |runtime: failed to create new OS thread|can't start new thread"
            r"|could not be started: Resource temporarily unavailable).*$",
            re.MULTILINE,
        ),
        "see how many processes and threads there may be (ulimit -u, the pids limit of a container) and how"
        " much memory (ulimit -v)",
    ),
    (
        re.compile(
            r"^fatal error: .*(?:out of memory|cannot allocate memory|failed to reserve page summary).*$"
            r"|^.*(?:runtime: mmap: too much locked memory|malloc failed|runtime/cgo: out of memory).*$"
            r"|^.*(?:Sanitizer:? failed to allocate|Sanitizer: out of memory).*$"
            r"|^.*(?:Cannot allocate memory|failed to map segment|MemoryError).*$",
            re.MULTILINE,
        ),
        "see how much memory there is and may be used (free, ulimit -v, the memory limit of a container)",
    ),
)
"""The lines that say that the machine could not give something (Go's stand in runtime/mem_linux.go,
os_linux.go and cgo/gcc_linux.c), and the remedy."""
_BLOCK = re.compile(r"^runtime: out of memory: cannot allocate (\d+)-byte block", re.MULTILINE)


def _scarce(said: str) -> str:
    """What the machine could not give, and what to do about it; empty where that was not the cause."""
    if (block := _BLOCK.search(said)) and int(block[1]) > _MOST_AT_ONCE:
        return ""
    lines = ((line[0], remedy) for words, remedy in _SCARCE if (line := words.search(said)))
    return next((f"{line}; {remedy}" for line, remedy in lines), "")


RACE = "WARNING: DATA RACE"
"""Begins a report of the race detector (https://go.dev/doc/articles/race_detector)."""
_REPORT = re.compile(
    rf"^(?:({RACE})|(ThreadSanitizer: CHECK failed: .*)"
    r"|==\d+==ERROR: (AddressSanitizer: (?!failed to allocate|out of memory).*))$",
    re.MULTILINE,
)


def _report(said: str) -> str:
    """The headline of a sanitizer's report, or nothing."""
    found = _REPORT.search(said)
    return next(filter(None, found.groups())) if found else ""


_ACCESS = re.compile(r"^(?:Read|Write|Previous .*) at 0x\w+ by .*:\n  (.+)\(\)$", re.MULTILINE)
_ASAN_FRAME = re.compile(r"^ +#(\d+) 0x\w+ in (\S+)", re.MULTILINE)


def _reported_frames(said: str) -> tuple[str, ...]:
    """Where it was that a sanitizer reports: the functions that race, which come in any order, or those on
    top of the stack of the bad access."""
    if RACE in said:
        return tuple(sorted(set(_ACCESS.findall(said.partition(RACE)[2]))))
    frames: list[str] = []
    for number, name in _ASAN_FRAME.findall(said):
        if int(number) != len(frames):
            break  # the next stack
        frames.append(name)
    return tuple(frames[:FRAMES])


_WORDS = re.compile(
    r"^(?P<words>fatal error: .*|panic: .*|fatal: .*|.*runtime: cgocallback with sp=.*"
    r"|unexpected fault address.*|runtime: bad g in cgocallback|SIG[A-Z]+: .*)$",
    re.MULTILINE,
)


MORESTACK_ON_G0 = "runtime: morestack on g0"
"""Begins the line that stands before the traceback of a g0 with wrong bounds."""


def _go_words(stderr: str) -> str:
    """Go's own headline: the first line by which the runtime announces its death."""
    # The traceback of a g0 with wrong bounds may die itself, in other words.
    if MORESTACK_ON_G0 in stderr:
        return "fatal error: morestack on g0"
    matches = [match["words"] for match in _WORDS.finditer(stderr)]
    # "panic: ... [recovered]" lines come before the fatal error that a throw while panicking is.
    preferred = [words for words in matches if words.startswith("fatal")]
    return (preferred or matches or [""])[0]


_NUMBER = re.compile(r"0x[0-9a-fA-F]+|\b\d+\b")


def normalise(text: str) -> str:
    """The text without what differs from run to run."""
    return _NUMBER.sub("N", text)


_FRAME = re.compile(r"^(runtime(?:/[\w/]+)?\.[\w.*()·]+?)\(", re.MULTILINE)
_DYING = (
    *("runtime.throw", "runtime.fatal", "runtime.gopanic", "runtime.panic", "runtime.sigpanic"),
    *("runtime.raise", "runtime.dopanic", "runtime.crash", "runtime.dieFromSignal"),
    *("runtime.systemstack", "runtime.mcall"),
)
# And those by which a thread waits.
_WAITING = (
    *("runtime.futex", "runtime.note", "runtime.sema", "runtime.lock", "runtime.unlock", "runtime.mPark"),
    *("runtime.stopm", "runtime.usleep", "runtime.procyield", "runtime.osyield"),
)
FRAMES = 3
HUNG_THREAD = "golib: thread "
"""What stands before each stack of a hung child (``symbols.text``)."""
SAMPLE = "golib: sample "
"""What stands before all its stacks of one moment."""


def _sampled(stderr: str) -> tuple[tuple[str, ...], ...]:
    """The functions of the runtime in which a hung child was, each time that it was looked at."""
    samples = stderr.partition(OUT_OF_TIME)[2].split(SAMPLE)[1:]
    return tuple(_runtime_frames(sample) for sample in samples)


def _most_telling(samples: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """The frames that were seen most often; where several were, the most frames.  What was seen once may be a
    thread on its way, and two runs of one hang would not be the same fault."""
    return max(samples, key=lambda frames: (samples.count(frames), len(frames)))


def _runtime_frames(stderr: str) -> tuple[str, ...]:
    """The functions of the runtime on top of the first stack that was printed, without those by which
    it dies or waits.  Where two threads die at once, that is the one whose words are the headline.

    Of a hang's stacks: that of a thread which hangs in a signal handler says most, else that of the one
    which waits for the world to stop, else that of one in a callback; idle threads say nothing.
    """
    before, announced, after = stderr.partition(MORESTACK_ON_G0)
    telling = after if announced else before
    if threads := stderr.split(HUNG_THREAD)[1:]:
        marks = (
            # A handler that gives its M back waits for a lock, others in handlers for an M.
            ("runtime.sigtrampgo(", "runtime.dropm("),
            ("runtime.sigtrampgo(",),
            ("runtime.stopTheWorldWithSema(",),
            ("crosscall2(",),
        )
        stacks = [thread.partition("\n\n")[0] for thread in threads]  # without what Go says behind the last
        telling = next(
            (stack for mark in marks for stack in stacks if all(name in stack for name in mark)), ""
        )
    names = (match[1] for match in _FRAME.finditer(telling))
    return tuple(dict.fromkeys(name for name in names if not name.startswith(_DYING + _WAITING)))[:FRAMES]
