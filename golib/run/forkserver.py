"""The only place that forks, waits and kills.

A server is a clean process with one thread that never loads Go.  For each request it forks a child,
drains the child's stderr, watches the clock, and reports how the child ended.  There is one server
beside each pytest process for each exec-time world (RLIMIT_STACK, what is preloaded: the
kernel and the loader read them at exec), started when first needed.  When the pytest process goes, by
whatever death, the server reads end-of-file, kills the child it is watching, and goes too.

Requests are numbered, and an answer has the number of its request: where an exception has come between
the two, the late answer is never taken for that of the next request.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from golib.case import calltree
from golib.run import binding, child, launch, process, trace
from golib.run.regions import reserve_regions

SAMPLES = 5
"""How often a hung child is looked at: once shows where it is, several times whether it moves."""
PAUSE = 0.03
"""Seconds between two looks: long for a thread that runs, short beside any timeout."""
GRACE = 3.0
"""Seconds that a hung child has, after SIGSEGV, to print its goroutines."""
HEAD, TAIL = 48 * 1024, 80 * 1024
"""Bytes of a child's stderr that are kept: from its beginning and from its end."""
PATIENCE = 5.0
"""Seconds that a server has to kill its child and go; a thousand times what it takes."""
PROBE_SECONDS = 60.0
"""For loading what one test file imports."""
ATTEMPTS = 5
"""Starts of a server until the kernel leaves room above the main thread's stack."""

GO_SETTINGS = ("GODEBUG", "GOTRACEBACK", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GORACE", "ASAN_OPTIONS")
"""Settings of the user's that would change what a Go process does: none of them reaches it."""
_OURS = ("GOLIB_WORLD", "GOLIB_TRACE")


class ServerError(Exception):
    """The fork server could not be started, or died: our fault, never Go's."""


@dataclass(frozen=True)
class World:
    """What only exec can change."""

    stack_limit: int | str = calltree.DEFAULT_STACK
    """The main thread's soft RLIMIT_STACK, bytes or ``UNLIMITED``: never what the user's shell has."""
    variables: tuple[tuple[str, str], ...] = ()
    """What the environment holds beside the user's own."""

    @classmethod
    def of(cls, case: calltree.Case, variables: tuple[tuple[str, str], ...] = ()) -> World:
        """The case's, with what its library needs."""
        limit = calltree.DEFAULT_STACK if case.stack_limit is None else case.stack_limit
        return cls(limit, variables)

    @property
    def limit(self) -> int:
        """The soft RLIMIT_STACK as setrlimit takes it."""
        return resource.RLIM_INFINITY if self.stack_limit == calltree.UNLIMITED else int(self.stack_limit)


def check_stack_limit(world: World | None = None) -> None:
    """Raises ServerError where this process may not give a case the stack that its world asks for."""
    wanted = (world or World()).limit
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if hard != resource.RLIM_INFINITY and not 0 <= wanted <= hard:
        size = calltree.UNLIMITED if wanted == resource.RLIM_INFINITY else f"{wanted // calltree.KIB} KiB"
        raise ServerError(
            f"a main thread's stack of {size} cannot be had, because the hard limit is {hard // calltree.KIB}"
            f" KiB; raise the hard limit (ulimit -Hs, or --ulimit stack=-1 of a container)"
        )


@dataclass(frozen=True)
class Refusal:
    """What no second try would mend."""

    why: str


class ForkServer:
    """The server of one world, seen from the process that uses it."""

    def __init__(self, world: World, scenarios: bytes = b"") -> None:
        """``scenarios``: what golib.scenario is told, which this is then to be; else a server without one.

        Raises ServerError, saying what is to be done where that is known."""
        # Here: it loads threading, which the servers do without, see child.
        import subprocess

        self.world = world
        check_stack_limit(world)
        for attempt in range(ATTEMPTS):
            memfd = os.memfd_create("golib-trace")
            os.ftruncate(memfd, trace.SIZE)
            self._memory = trace.Memory(memfd)
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    _command(world, theirs.fileno(), memfd, "golib.scenario" if scenarios else ""),
                    pass_fds=(theirs.fileno(), memfd),
                    env=_environment() | dict(world.variables),
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            os.close(memfd)
            self._number = 0
            try:
                if scenarios:
                    _send(self._socket, 0, scenarios)
                answer = self._answer()
            except BaseException:
                self.close()
                raise
            if answer == READY:
                return
            self.close()
            if isinstance(answer, Refusal):
                raise ServerError(answer.why)
            if answer is None or attempt == ATTEMPTS - 1:
                raise ServerError(answer or f"the fork server for {world} died at its start")

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, request: child.Request) -> trace.Ended:
        """Runs the request's cases in one child.

        Raises ServerError when the server is gone, when it could not run them, and when an exception has
        left the answer of an earlier request behind: then close it, and take another.
        """
        self._number += 1
        self._memory.begin()
        _send(self._socket, self._number, request)
        answer = self._answer()
        if answer is None:
            raise ServerError(f"the fork server for {self.world} died")
        if isinstance(answer, str):
            raise ServerError(f"the fork server for {self.world} could not run its cases: {answer}")
        status, stderr, timed_out, samples, (raised, reports) = answer
        record = self._memory.read(request.fields.present)
        return trace.Ended(status, stderr, timed_out, record, samples, raised, reports)

    def _answer(self) -> Any:
        """To the last request, or None when the server is gone."""
        message = _receive(self._socket)
        if message is None:
            return None
        number, data = message
        if number != self._number:
            raise ServerError(
                f"the fork server for {self.world} answered request {number} and not {self._number}, after"
                " an exception in the midst of a request; close the server then, and start another"
            )
        return pickle.loads(data)

    def close(self) -> None:
        """Ends the server and its child; returns when the server is gone, after PATIENCE seconds at most."""
        self._socket.close()
        pidfd = os.pidfd_open(self.pid)
        try:
            if not select.select([pidfd], [], [], PATIENCE)[0]:
                self._process.kill()  # the kernel kills its child then: process.die_with_parent
        finally:
            os.close(pidfd)
        self._process.wait()
        self._memory.close()


def _command(world: World, socket_fd: int, memfd: int, scenarios: str) -> list[str]:
    # -S: no site-packages, so that the process stays small and quick to fork.  A scenario needs pytest.
    server = [sys.executable, "-m", scenarios] if scenarios else [sys.executable, "-S", "-m", _MODULE]
    return [*server, str(socket_fd), str(memfd), str(world.limit)]


_MODULE = "golib.run.forkserver"


def _environment() -> dict[str, str]:
    """With room for what a case lays over it, see ``process.lay``."""
    environment = {name: value for name, value in os.environ.items() if name not in GO_SETTINGS + _OURS}
    environment["PYTHONPATH"] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return environment | dict.fromkeys(calltree.variables(), " " * process.ROOM)


READY = "ready"
"""A server's answer to its start."""
_HEADER = struct.Struct("<QQ")
"""Before each message: the number of its request, and its size in bytes."""


def _send(to: socket.socket, number: int, what: object) -> None:
    data = pickle.dumps(what)
    with contextlib.suppress(BrokenPipeError):  # who sent it finds out when it reads the answer
        to.sendall(_HEADER.pack(number, len(data)) + data)


def _receive(source: socket.socket) -> tuple[int, bytes] | None:
    """The next message's number and pickle, or None at end-of-file."""
    header = _exactly(source, _HEADER.size)
    if header is None:
        return None
    number, size = _HEADER.unpack(header)
    data = _exactly(source, size)
    return None if data is None else (number, data)


def _exactly(source: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        try:
            chunk = source.recv(min(size - len(data), 1 << 20))
        except ConnectionError:
            return None
        if not chunk:
            return None
        data += chunk
    return bytes(data)


# What follows runs in the server.


def serve(parent: socket.socket, memfd: int, host: child.Host) -> NoReturn:
    """Until the parent is gone.  ``host`` lends the children the functions of their scenarios."""
    process.adopt_orphans()
    memory = trace.Memory(memfd)
    os.close(memfd)
    child.prepare(memory.header)
    try:
        host.check()
        regions = reserve_regions()
    except (binding.BindingError, RuntimeError) as error:
        _send(parent, 0, str(error))
        sys.exit(1)
    _send(parent, 0, READY)
    gc.freeze()  # a collection writes to all that it looks at: not to what children share with us
    while (message := _receive(parent)) is not None:
        number, data = message
        answer: Answer | str
        try:
            answer = _run(parent, pickle.loads(data), regions, memory, host)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        _send(parent, number, answer)
    sys.exit(0)


Sample = tuple[tuple[int, tuple[int, ...]], ...]
Answer = tuple[int, str, bool, tuple[Sample, ...], tuple[str, str]]
"""What ``trace.Ended`` has, but for the record: status, stderr, timed_out, samples, raised and reports."""


def _run(
    parent: socket.socket,
    request: child.Request,
    regions: Mapping[int, tuple[int, int]],
    memory: trace.Memory,
    host: child.Host,
) -> Answer:
    """Runs the request's cases in one child.  Leaves no process and no descriptor, whatever happens."""
    server, address = os.getpid(), ctypes.addressof(memory.header)
    host.prepare(request)
    host.check()
    programs = child.compiled(request, regions, host)
    with contextlib.ExitStack() as at_the_end:
        at_the_end.callback(_end_orphans)
        told = os.memfd_create("golib-told") if request.calls else None
        if told is not None:
            at_the_end.callback(os.close, told)
            request = dataclasses.replace(request, told=told)
        for _ in range(request.load):
            at_the_end.callback(_end, _busy(server))
        reading, writing = os.pipe()
        at_the_end.callback(os.close, reading)
        try:
            if launch.fits(request, programs):
                closed = parent.fileno(), reading
                pid = _fork(partial(launch.fork, request, programs, address, writing, closed))
            else:
                pid = _fork()
            if pid == 0:
                try:
                    parent.close()
                    os.close(reading)
                    os.dup2(writing, 1)
                    os.dup2(writing, 2)
                    os.close(writing)
                    child.main(request, programs, address, memory.header, server, host)
                finally:  # a child must never come to what the server does next
                    os._exit(trace.HARNESS_STATUS)
        finally:
            os.close(writing)
        pidfd = os.pidfd_open(pid)
        at_the_end.callback(os.close, pidfd)
        ended = _watch(parent, pid, pidfd, reading, request, memory)
        return (*ended, ("", "") if told is None else _told(told))


def _told(memfd: int) -> tuple[str, str]:
    """What the host of a child's scenario wrote there: the exception, one line, and reports.  A child that
    died before it came to that has written nothing."""
    size = os.fstat(memfd).st_size
    raised, _, reports = os.pread(memfd, size, 0).decode(errors="replace").partition("\n")
    return raised, reports


def ask(what: Callable[[], str]) -> str:
    """What that function finds out in a child of its own, where it may load what it likes; empty where the
    child died of it, or took longer than PROBE_SECONDS."""
    server, told = os.getpid(), os.memfd_create("golib-asked")
    try:
        pid = _fork()
        if pid == 0:
            try:
                os.setsid()
                process.die_with_parent()
                if os.getppid() == server:
                    os.pwrite(told, what().encode(), 0)
            finally:
                os._exit(0)
        pidfd = os.pidfd_open(pid)
        try:
            select.select([pidfd], [], [], PROBE_SECONDS)
        finally:
            os.close(pidfd)
            _kill(pid)
            os.waitpid(pid, 0)
        return os.pread(told, os.fstat(told).st_size, 0).decode()
    finally:
        os.close(told)
        _end_orphans()


def _fork(fork: Callable[[], int] = os.fork) -> int:
    try:
        return fork()
    except OSError as error:
        why = f"{error.strerror}: see how many processes and how much memory there may be (ulimit -u, -v)"
        raise OSError(error.errno, f"no process could be forked: {why}") from error


def _busy(server: int) -> int:
    """A process that does nothing but use a processor: its pid."""
    pid = _fork()
    if pid == 0:
        try:
            process.die_with_parent()
            while os.getppid() == server:
                pass
        finally:
            os._exit(0)
    return pid


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


class _Output:
    """What a child writes: drained as it comes, kept up to a bound."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        os.set_blocking(fd, False)
        self.open = True
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def drain(self) -> None:
        """Takes what is there now."""
        while self.open:
            try:
                data = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self.open = False
                return
            self.add(data)

    def add(self, data: bytes) -> None:
        fits = HEAD - len(self._head)
        self._head += data[:fits]
        self._tail += data[fits:]
        if len(self._tail) > 2 * TAIL:
            self._cut()

    def _cut(self) -> None:
        surplus = max(0, len(self._tail) - TAIL)
        self._left_out += surplus
        del self._tail[:surplus]

    def text(self) -> str:
        self._cut()
        middle = f"\n[golib: {self._left_out} bytes left out]\n" if self._left_out else ""
        return self._head.decode(errors="replace") + middle + self._tail.decode(errors="replace")


def _watch(
    parent: socket.socket, pid: int, pidfd: int, reading: int, request: child.Request, memory: trace.Memory
) -> tuple[int, str, bool, tuple[Sample, ...]]:
    """Waits for the child's end, and leaves nothing of its process group behind.

    Each of its cases has the request's timeout; the header says how many have come to their end.
    """
    timeout = request.timeout
    samples: tuple[Sample, ...] = ()
    output = _Output(reading)
    poller = select.poll()
    for fd in (reading, pidfd, parent.fileno()):
        poller.register(fd, select.POLLIN)
    deadline = time.monotonic() + timeout
    timed_out = False
    finished = 0
    while True:
        events = dict(poller.poll(max(0.0, deadline - time.monotonic()) * 1000))
        if reading in events:
            output.drain()
            if not output.open:
                poller.unregister(reading)
        if pidfd in events:
            break
        if parent.fileno() in events:
            # A request never comes before the last one is answered: our parent is gone.
            _kill(pid)
            os.waitpid(pid, 0)
            sys.exit(0)
        if not timed_out and memory.header.finished > finished:
            finished = memory.header.finished
            deadline = time.monotonic() + timeout
        if time.monotonic() >= deadline:
            if timed_out:
                _kill(pid)
                select.select([pidfd], [], [])  # SIGKILL leaves nothing to wait for but the end
                break
            timed_out = True
            samples = _samples(pid, pidfd, request.library)
            deadline = time.monotonic() + GRACE
            output.drain()
            output.add(trace.OUT_OF_TIME.encode())
            # Go prints all goroutines and dies. Not SIGQUIT: a c-shared library does not ask for it
            # (runtime/signal_unix.go, sigInstallGoHandler), and the child would die without a word.
            process.send(pid, _in_go(pid, samples) if request.calls else pid, signal.SIGSEGV)
    _kill(pid)  # its own group: whatever it left running
    _, status = os.waitpid(pid, 0)
    output.drain()
    return status, output.text(), timed_out, samples


def _in_go(pid: int, samples: tuple[Sample, ...]) -> int:
    """A thread of the child's in which Go will print: one that is deepest in Go.  The main thread, where none
    is seen; one that has never called Go dies without a word."""
    deepest = max(samples[-1], key=lambda seen: len(seen[1]), default=(pid, ())) if samples else (pid, ())
    return deepest[0] if deepest[1] else pid


def _samples(pid: int, pidfd: int, library: str) -> tuple[Sample, ...]:
    """What a hung child's threads are doing, again and again until it ends: as often as it was seen."""
    samples = []
    for number in range(SAMPLES):
        if number and select.select([pidfd], [], [], PAUSE)[0]:
            break
        if sample := _stacks(pid, library):
            samples.append(sample)
    return tuple(samples)


def _stacks(pid: int, library: str) -> Sample:
    """What each thread of a hung child is doing, where the kernel lets us look."""
    try:
        with open(f"/proc/{pid}/maps") as maps:  # noqa: PTH123
            # Another session may have put the same library anew at that path meanwhile.
            lines = (line for line in maps if line.rstrip().removesuffix(" (deleted)").endswith(library))
            base = int(next(lines).split("-")[0], 16)
        found = process.stacks(pid, os.waitid)
    except (OSError, StopIteration):
        return ()
    return tuple((tid, tuple(pc - base for pc in counters)) for tid, counters in found)


def _end_orphans() -> None:
    """Kills what a child left in sessions of its own, and what that leaves, until nothing is there."""
    while True:
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return  # as a rule: nothing is there
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123
            orphans = [int(pid) for pid in file.read().split()]
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _kill(pid: int) -> None:
    # Before its setsid the child has no group of its own yet.
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def begin(arguments: list[str], *command: str) -> tuple[socket.socket, int]:
    """The socket and the memfd of a server, in a process whose main thread has the stack that it needs.
    ``command``: how this python was started."""
    socket_fd, memfd, limit = map(int, arguments)
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != limit:
        # The kernel lays a process out by the limit it finds at exec.
        resource.setrlimit(resource.RLIMIT_STACK, (limit, hard))
        os.execv(sys.executable, [sys.executable, *command, *arguments])
    return socket.socket(fileno=socket_fd), memfd


def refuse(parent: socket.socket, why: str) -> None:
    """Says why there will be no server."""
    _send(parent, 0, Refusal(why))


def told(parent: socket.socket) -> bytes:
    """What a server of scenarios is told at its start, or nothing where its parent is gone."""
    message = _receive(parent)
    return pickle.loads(message[1]) if message else b""


def main(arguments: list[str]) -> None:
    """``python -m golib.run.forkserver SOCKET MEMFD LIMIT``: not for hands."""
    serve(*begin(arguments, "-S", "-m", _MODULE), child.Host())


if __name__ == "__main__":
    main(sys.argv[1:])
