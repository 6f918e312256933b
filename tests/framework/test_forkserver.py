"""The fork server: what it is, and that nothing outlives whoever asked for it.

Ends are waited for by pidfd, so that nothing here depends on how fast the machine is.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from broken import Break, breaking

from golib import C, Case, Export, Go, Python, Setrlimit, Signal, Stack, Thread, Together
from golib.case.calltree import DEFAULT_STACK, GODEBUGS, KIB, REGION, REGIONS, Node
from golib.case.script import Phase
from golib.door import Servers, Subject, fields_of, first_matters, servers
from golib.judge.outcome import Kind
from golib.run import forkserver, process
from golib.run.child import Request
from golib.run.forkserver import ForkServer, ServerError, World
from golib.toolchains import native

SECONDS = 60
"""For the end of a process that has been told to end: only a broken golib needs them."""
SHORT = 0.3
"""Seconds until a case that never ends is a hang."""
AGAIN = 0.01
"""Seconds until a signal that has interrupted nothing is sent again."""

ROOT = Path(__file__).parents[2]


def ended(pid: int) -> bool:
    """Whether a process comes to its end (a zombie has)."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], SECONDS)[0])
    finally:
        os.close(fd)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descriptors(pid: int | str) -> list[str]:
    """What a process's descriptors stand for."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(entry.readlink()))
        except FileNotFoundError:  # the one by which the folder was read
            continue
    return sorted(found)


@pytest.fixture
def server() -> Iterator[ForkServer]:
    """One of the test's own, for it may come to harm."""
    server = ForkServer(World())
    yield server
    server.close()


LAUNCHER = str(native.launcher())


@pytest.fixture(params=["C", "Python"])
def forked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whom the children are forked."""
    monkeypatch.setitem(globals(), "LAUNCHER", LAUNCHER if request.param == "C" else "")


by_both = pytest.mark.usefixtures("forked")


def request(subject: Subject, *cases: Case, timeout: float = SECONDS, load: int = 0) -> Request:
    made = Request(str(subject.library.path), fields_of(subject.library), cases, timeout, load=load)
    return dataclasses.replace(made, launcher=LAUNCHER)


class Fifo:
    """Where a case of the twin tells the pid of its process once it hangs."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "fifo"
        os.mkfifo(self.path)
        self.fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def pid(self) -> int:
        """Waits for it."""
        assert select.select([self.fd], [], [], SECONDS)[0], "the case did not come to its hang"
        return int(os.read(self.fd, 100))


@pytest.fixture
def fifo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fifo]:
    fifo = Fifo(tmp_path)
    monkeypatch.setenv("GOLIB_TEST_FIFO", str(fifo.path))
    yield fifo
    os.close(fifo.fd)


HANGS = Case(Go(breaking(Break.TELL_AND_HANG)))

# What it is.


@by_both
def test_it_is_one_thread_and_never_loads_go(server: ForkServer, subject: Subject) -> None:
    for _ in range(3):
        assert server.run(request(subject, Case(Go(C(Go()))))).status == 0
    assert len(list(Path(f"/proc/{server.pid}/task").iterdir())) == 1
    mapped = Path(f"/proc/{server.pid}/maps").read_text()
    assert str(subject.library.path) not in mapped
    assert "libgolib" not in mapped.replace(LAUNCHER, "")


def test_it_imports_only_what_a_fork_can_bear(server: ForkServer) -> None:
    # Whatever a third-party package starts or opens, each child would inherit.
    mapped = Path(f"/proc/{server.pid}/maps").read_text()
    assert "site-packages" not in mapped
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import sys, golib.run.forkserver; print(*sys.modules)"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {
        "pytest",
        "_pytest",
        "elftools",
        "filelock",
        "hypothesis",
        "xdist",
        "asyncio",
        "logging",
        "threading",  # no thread, but at each fork work that touches a hundred pages
    }
    ours = {name for name in done.stdout.split() if name.startswith("golib.")}
    case = {f"golib.case.{name}" for name in ("calltree", "legality", "prototype", "script")}
    run = ("binding", "child", "forkserver", "launch", "process", "program", "regions", "structs", "trace")
    assert ours == {"golib.case", "golib.run", *case, *(f"golib.run.{name}" for name in run)}


def test_it_is_in_a_session_of_its_own(server: ForkServer) -> None:
    # Ctrl-C goes to the terminal's group: the server must live to clean up.
    assert os.getsid(server.pid) == server.pid != os.getsid(0)


def test_one_for_each_world_started_when_needed(subject: Subject) -> None:
    ours = Servers()
    try:
        for case in Case(Go()), Case(C()), Case(Go(), bounds="hidden"):
            ours.run(World.of(case), request(subject, case))
        assert len(ours._servers) == 1
        case = Case(Go(), stack_limit=1024 * KIB)
        ours.run(World.of(case), request(subject, case))
        assert len({server.pid for server in ours._servers.values()}) == 2
        pids = [server.pid for server in ours._servers.values()]
    finally:
        ours.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "close() returns when they are gone"


# What reaches the child.


@pytest.mark.parametrize("limit", [256 * KIB, 1024 * KIB, 64 * 1024 * KIB])
def test_the_stack_limit_reaches_the_child(broken: Subject, limit: int) -> None:
    lo, hi = broken.run(Case(Go(), stack_limit=limit)).events[-1].told
    assert limit - 256 * KIB < hi - lo <= limit


def test_an_unlimited_stack_reaches_the_child(broken: Subject) -> None:
    said = broken.run(Case(breaking(Break.LIMITS), stack_limit="unlimited")).stderr
    assert said == f"core 0 stack {resource.RLIM_INFINITY}\n"


@pytest.fixture
def low_limit() -> Iterator[None]:
    """As after ``ulimit -Ss 1024``."""
    servers().close()
    limits = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (1024 * KIB, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_STACK, limits)


@pytest.mark.usefixtures("low_limit")
def test_where_nothing_is_said_the_limit_is_the_default_whatever_the_shell_has(broken: Subject) -> None:
    assert broken.run(Case(breaking(Break.LIMITS))).stderr == f"core 0 stack {DEFAULT_STACK}\n"


@pytest.mark.usefixtures("low_limit")
def test_a_deep_case_has_its_room_whatever_the_shell_has(subject: Subject) -> None:
    assert subject.run(Case(C(Go(), stack=4 * 1024 * KIB))).kind is Kind.PASSED


def test_a_limit_and_the_default_that_is_as_large_are_one_world(subject: Subject) -> None:
    cases = Case(Go()), Case(Go(), stack_limit=DEFAULT_STACK)
    assert len({World.of(case) for case in cases}) == 1


@pytest.mark.parametrize(
    ("case", "size"),
    [("Case(Go())", "8192 KiB"), ("Case(Go(), stack_limit='unlimited')", "unlimited")],
)
def test_a_hard_limit_that_allows_no_such_stack_is_said_before_anything_is_started(
    subject: Subject, case: str, size: str
) -> None:
    code = f"""\
import resource
resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 2 << 20))
{PARENT}"""
    done = subprocess.run(
        [sys.executable, "-c", code, case],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        input=json.dumps(subject.library.to_json()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"golib.run.forkserver.ServerError: a main thread's stack of {size} cannot be had, because the hard"
        " limit is 2048 KiB; raise the hard limit (ulimit -Hs, or --ulimit stack=-1 of a container)"
    )
    assert "died at its start" not in done.stderr


def test_variables_of_a_world_reach_the_server_over_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GORACE", "history_size=1")
    for world, expected in (
        (World(), []),
        (World(variables=(("GORACE", "exitcode=77"),)), ["GORACE=exitcode=77"]),
    ):
        server = ForkServer(world)
        try:
            environment = Path(f"/proc/{server.pid}/environ").read_text().split("\0")
        finally:
            server.close()
        assert [line for line in environment if line.startswith("GORACE=")] == expected


def test_a_limit_that_a_case_has_set_is_not_that_of_the_next(broken: Subject, server: ForkServer) -> None:
    cases = [Case(breaking(Break.LIMITS)), Case(Setrlimit(stack=1024 * KIB), breaking(Break.LIMITS))]
    ended_ = server.run(request(broken, *cases, cases[0]))
    assert ended_.record.finished == 3
    limits = re.findall(r"stack (-?\d+)$", ended_.stderr, re.MULTILINE)
    assert limits == [str(DEFAULT_STACK), str(1024 * KIB), str(DEFAULT_STACK)]


def test_one_server_serves_every_godebug(subject: Subject) -> None:
    servers().close()
    for godebug in GODEBUGS:
        assert subject.run(Case(Go(), godebug=godebug)).kind is Kind.PASSED
    assert len(servers()._servers) == 1
    subject.run(Case(Go(), stack_limit=1 << 20))
    assert len(servers()._servers) == 2


def test_what_one_case_laid_the_next_has_not(subject: Subject) -> None:
    assert "init pytest-golib.invalid/bridge" not in subject.run(Case(Go())).stderr
    assert "init runtime @" in subject.run(Case(Go(), godebug="inittrace=1")).stderr
    assert "init runtime @" not in subject.run(Case(Go())).stderr


def test_godebug_reaches_go(subject: Subject) -> None:
    said = subject.run(Case(Go(), godebug="inittrace=1")).stderr
    assert re.search(r"^init runtime @", said, re.MULTILINE)
    assert subject.run(Case(Go())).stderr == ""


@by_both
def test_the_users_settings_for_go_do_not(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    # They would change what is judged: GOGC=off, for one, takes the GC out of the suite.
    monkeypatch.setenv("GODEBUG", "inittrace=1")
    monkeypatch.setenv("GOTRACEBACK", "none")
    server = ForkServer(World())
    try:
        assert server.run(request(subject, Case(Go()))).stderr == ""
        environment = Path(f"/proc/{server.pid}/environ").read_text()
    finally:
        server.close()
    assert "inittrace" not in environment
    assert "GOTRACEBACK" not in environment


@by_both
def test_a_child_makes_no_core_file(broken: Subject) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("no process here may make a core file")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        server = ForkServer(World())
        try:
            assert server.run(request(broken, Case(breaking(Break.LIMITS)))).stderr.startswith("core 0 ")
            for action in Break.ABORT, Break.SEGFAULT, Break.THROW:
                status = server.run(request(broken, Case(Go(breaking(action))))).status
                assert os.WIFSIGNALED(status)
                assert not os.WCOREDUMP(status)
        finally:
            server.close()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_foreign_stacks_lie_below_all_threads_and_above_the_main_one(subject: Subject) -> None:
    body = tuple(Stack(C(), region=region) for region in REGIONS)
    case = Case(
        C(), *body, Thread(C(), kind="native"), Thread(C(), kind="python"), Thread(C(), kind="memory")
    )
    outcome = subject.run(case)
    assert outcome.kind is Kind.PASSED
    placed = {item.number: item for item in case.walk()}
    numbered = {number: item.node for number, item in placed.items()}
    foreign: dict[int, int] = {}
    threads: list[int] = []
    main = 0
    for event in outcome.events:
        parent = placed[event.node].parent
        above = numbered[parent] if parent is not None else None
        if event.phase is Phase.ENTERED and isinstance(numbered[event.node], C):
            if isinstance(above, Stack):
                foreign[above.region] = event.sp
            elif isinstance(above, Thread):
                threads.append(event.sp)
            else:
                main = event.sp
    assert sorted(foreign) == sorted(REGIONS)
    assert len(threads) == 3
    assert all(sp < min(*threads, main) for region, sp in foreign.items() if region < 0)
    assert all(sp > main > max(threads) for region, sp in foreign.items() if region > 0)
    in_order = [foreign[region] for region in sorted(REGIONS)]
    assert in_order == sorted(in_order) or in_order[:4] == sorted(in_order[:4], reverse=True)
    near = sorted(foreign.values())
    assert all(high - low >= REGION for low, high in itertools.pairwise(near))


# What is left.


@by_both
def test_many_cases_leave_nothing_behind(subject: Subject, server: ForkServer) -> None:
    case = request(subject, Case(Go(C(Go()))))
    server.run(case)
    before = len(descriptors("self")), descriptors(server.pid), children(os.getpid())
    for _ in range(200):
        assert server.run(case).status == 0
    assert (len(descriptors("self")), descriptors(server.pid), children(os.getpid())) == before
    assert children(server.pid) == []


@by_both
def test_hangs_and_deaths_leave_nothing_behind(broken: Subject, server: ForkServer) -> None:
    server.run(request(broken, Case(Go())))
    before = len(descriptors("self")), descriptors(server.pid)
    for action in Break.ABORT, Break.HANG, Break.KILLED, Break.FLOOD, Break.FORK, Break.FLOOD_AND_HANG:
        server.run(
            request(broken, Case(Go(breaking(action))), timeout=SHORT if "HANG" in action.name else SECONDS)
        )
    assert (len(descriptors("self")), descriptors(server.pid)) == before
    assert children(server.pid) == []


def test_a_closed_server_gives_back_all_it_had() -> None:
    before = descriptors("self")
    for _ in range(3):
        server = ForkServer(World())
        server.close()
        assert not Path(f"/proc/{server.pid}").exists()
    assert descriptors("self") == before


@pytest.mark.parametrize("action", [Break.FORK, Break.FORK_AND_HANG], ids=lambda action: action.name)
def test_what_a_child_leaves_running_is_killed(broken: Subject, action: Break) -> None:
    outcome = broken.run(Case(Go(breaking(action))), timeout=1.0)
    said = re.search(r"left (\d+) behind", outcome.stderr)
    assert said
    assert ended(int(said[1]))


def test_what_a_child_leaves_running_in_another_session_is_killed(broken: Subject) -> None:
    outcome = broken.run(Case(Go(breaking(Break.ESCAPE))))
    said = re.search(r"left (\d+) behind", outcome.stderr)
    assert said
    assert ended(int(said[1]))


PARENT = """\
import json, sys
from pathlib import Path
import golib
from golib import C, Case, Go
from golib.toolchains.build import Library
subject = golib.open(Library.from_json(json.load(sys.stdin)))
subject.run(golib.parse(sys.argv[1]))
"""


def parent_of(subject: Subject, case: Case) -> subprocess.Popen[str]:
    """A process that runs the case, as pytest does."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, repr(case)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    json.dump(subject.library.to_json(), process.stdin)
    process.stdin.close()
    return process


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_when_the_process_that_asked_dies_nobody_is_left(broken: Subject, fifo: Fifo, name: str) -> None:
    process = parent_of(broken, HANGS)
    try:
        child = fifo.pid()
        [server] = children(process.pid)
        assert children(server) == [child]
        process.send_signal(signal.Signals[name])
        assert ended(process.pid)
        assert ended(child)
        assert ended(server)
    finally:
        process.kill()
        process.wait()


def killed_in_mid_case(run: Callable[[], object], fifo: Fifo, victim: Callable[[], int]) -> tuple[int, int]:
    """Runs in a thread what hangs, and kills the victim then. Returns the child and the victim."""
    pids: list[int] = []

    def kill() -> None:
        pids.append(fifo.pid())
        pids.append(victim())
        os.kill(pids[1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    run()
    killer.join()
    return pids[0], pids[1]


@by_both
@pytest.mark.parametrize("processors", [0, 1])
def test_a_child_keeps_to_as_many_processors_as_it_is_told(
    broken: Subject, fifo: Fifo, server: ForkServer, processors: int
) -> None:
    pinned = dataclasses.replace(request(broken, HANGS), pinned=bool(processors))
    seen: list[set[int]] = []

    def look() -> None:
        pid = fifo.pid()
        seen.append(os.sched_getaffinity(pid))
        os.kill(pid, signal.SIGKILL)

    watcher = threading.Thread(target=look)
    watcher.start()
    server.run(pinned)
    watcher.join()
    assert len(seen[0]) == (processors or len(os.sched_getaffinity(0)))


@by_both
def test_a_server_that_was_killed_is_our_fault_and_takes_its_child_along(broken: Subject, fifo: Fifo) -> None:
    server = ForkServer(World())

    def run() -> None:
        with pytest.raises(ServerError, match=r"^the fork server for World\(.*\) died$"):
            server.run(request(broken, HANGS))

    try:
        child, victim = killed_in_mid_case(run, fifo, lambda: server.pid)
    finally:
        server.close()
    assert ended(child)
    assert ended(victim)


def test_the_next_case_gets_a_new_server(subject: Subject) -> None:
    assert subject.run(Case(Go())).kind is Kind.PASSED
    world = World()
    first = servers()._servers[world, b""].pid
    os.kill(first, signal.SIGKILL)
    assert ended(first)
    with pytest.raises(ServerError):
        subject.run(Case(Go()))
    assert subject.run(Case(Go())).kind is Kind.PASSED
    assert servers()._servers[world, b""].pid != first


# What an exception in the midst of a case leaves.


class Interrupted(BaseException):
    """As pytest-timeout's, and KeyboardInterrupt: no Exception."""


@pytest.fixture
def interrupted(fifo: Fifo) -> Iterator[Callable[[Callable[[], object]], int]]:
    """Calls a function, and raises Interrupted from a signal's handler while it receives an answer, once a
    process has told its pid.  Returns the pid."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        there = frame is not None and frame.f_code.co_name == "_exactly"
        if there and not raised.is_set():
            raised.set()
            raise Interrupted

    def call(function: Callable[[], object]) -> int:
        pids: list[int] = []

        def wait() -> None:
            pids.append(fifo.pid())
            # A process may tell it before its starter receives, and a signal that comes just before the
            # system call does not interrupt it.
            while not raised.is_set():
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
                raised.wait(AGAIN)

        waiting = threading.Thread(target=wait)
        waiting.start()
        try:
            with pytest.raises(Interrupted):
                function()
        finally:
            waiting.join()
        return pids[0]

    raised = threading.Event()
    before = signal.signal(signal.SIGUSR1, interrupt)
    yield call
    signal.signal(signal.SIGUSR1, before)


Interrupting = Callable[[Callable[[], object]], int]


def test_an_interrupted_case_leaves_no_process_and_no_answer(
    broken: Subject, interrupted: Interrupting
) -> None:
    ours = Servers()
    world = World()
    try:
        ours.run(world, request(broken, Case(Go())))
        before = len(descriptors("self"))
        [first] = ours._servers.values()
        child = interrupted(lambda: ours.run(world, request(broken, HANGS, load=1)))
        assert not Path(f"/proc/{first.pid}").exists()
        assert first.pid not in children(os.getpid())
        assert ended(child)
        after = ours.run(world, request(broken, Case(C(Go()))))
        assert (after.status, after.timed_out, after.record.finished) == (0, False, 1)
        assert len(descriptors("self")) == before
    finally:
        ours.close()


def test_a_late_answer_is_not_the_next_requests(
    broken: Subject, interrupted: Interrupting, server: ForkServer
) -> None:
    child = interrupted(lambda: server.run(request(broken, HANGS)))
    os.kill(child, signal.SIGKILL)
    assert select.select([server._socket], [], [], SECONDS)[0], "its answer"
    with pytest.raises(ServerError, match=r"answered request 1 and not 2, .*; close the server"):
        server.run(request(broken, Case(Go())))


def test_a_server_that_does_not_go_is_killed_with_its_child(
    broken: Subject, interrupted: Interrupting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forkserver, "PATIENCE", SHORT)
    server = ForkServer(World())
    interrupted(lambda: server.run(request(broken, HANGS, load=1)))
    its = children(server.pid)
    os.kill(server.pid, signal.SIGSTOP)
    server.close()
    assert not Path(f"/proc/{server.pid}").exists()
    assert len(its) == 2
    assert all(ended(pid) for pid in its)


def test_an_interrupted_start_leaves_no_process(
    interrupted: Interrupting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # It tells its pid and never says that it is ready.
    hangs = tmp_path / "hangs"
    hangs.write_text('#!/bin/sh\necho $$ > "$GOLIB_TEST_FIFO"\nexec sleep 1000\n')
    hangs.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hangs))
    monkeypatch.setattr(forkserver, "PATIENCE", SHORT)
    before = descriptors("self")
    pid = interrupted(lambda: ForkServer(World()))
    assert not Path(f"/proc/{pid}").exists()
    assert descriptors("self") == before


def test_a_child_that_dies_while_it_is_looked_at_comes_to_its_end() -> None:
    """Its end is told to nobody while a thread of it has a tracer that has not taken note of that one's."""
    waits = "import threading; threading.Thread(target=threading.Event().wait).start()"
    code = f"{waits}; print(flush=True); threading.Event().wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as looked_at:
        assert looked_at.stdout is not None
        looked_at.stdout.readline()

        def wait(kind: int, tid: int, options: int) -> None:
            os.waitid(kind, tid, options)
            if tid != looked_at.pid and options & os.WSTOPPED:
                looked_at.kill()
                os.waitid(kind, tid, options & ~os.WSTOPPED)  # until it is dead, as which it stays

        with pytest.raises(OSError, match="ptrace"):
            process.stacks(looked_at.pid, wait)
        assert ended(looked_at.pid)


def test_a_hang_is_looked_at_also_where_its_library_has_been_replaced(
    broken: Subject, fifo: Fifo, tmp_path: Path
) -> None:
    path, same = tmp_path / "libgolib.so", tmp_path / "same.so"
    for copy in path, same:
        shutil.copy(broken.library.path, copy)

    def replace() -> None:
        fifo.pid()
        same.replace(path)

    servers().close()  # the next one inherits where the fifo is
    replaced = threading.Thread(target=replace)
    replaced.start()
    outcome = Subject(dataclasses.replace(broken.library, path=path)).ended(HANGS, timeout=2.0)
    replaced.join()
    assert len(outcome.samples) == forkserver.SAMPLES


# What the server itself cannot do.


def test_a_server_that_cannot_run_a_case_says_why_and_lives(subject: Subject, server: ForkServer) -> None:
    case = request(subject, Case(Go()))
    server.run(case)
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (len(descriptors(server.pid)), hard))
    with pytest.raises(
        ServerError, match=r"could not run its cases: OSError: \[Errno 24\] Too many open files"
    ):
        server.run(case)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert server.run(case).status == 0
    with pytest.raises(ServerError, match=r"could not run its cases: ModuleNotFoundError: No module named"):
        server.run(request(subject, Case(C(stack=Break.HANG))))  # an enum of the tests
    assert server.run(case).status == 0


@by_both
@pytest.mark.skipif(os.geteuid() == 0, reason="root may have as many processes as it likes")
@pytest.mark.parametrize("load", [0, 2])
def test_a_server_that_can_fork_no_child_says_so_and_lives(
    subject: Subject, server: ForkServer, load: int
) -> None:
    case = request(subject, Case(Go()), load=load)
    limits = resource.prlimit(server.pid, resource.RLIMIT_NPROC)
    resource.prlimit(server.pid, resource.RLIMIT_NPROC, (0, limits[1]))
    before = descriptors(server.pid)
    with pytest.raises(ServerError, match=r"no process could be forked: .*\(ulimit -u"):
        server.run(case)
    assert descriptors(server.pid) == before
    resource.prlimit(server.pid, resource.RLIMIT_NPROC, limits)
    assert server.run(case).status == 0
    assert children(server.pid) == []


# Under load.


def state(pid: int) -> str:
    """The letter of /proc/PID/stat: R where it runs or would like to."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


@pytest.mark.parametrize("load", [0, 1, 3])
def test_busy_processes_stand_beside_the_child_and_go_with_it(
    broken: Subject, fifo: Fifo, server: ForkServer, load: int
) -> None:
    beside: dict[int, str] = {}

    def victim() -> int:
        [child] = [
            pid for pid in children(server.pid) if os.getsid(pid) == pid
        ]  # the others stay in its session
        beside.update({pid: state(pid) for pid in children(server.pid) if pid != child})
        return child

    killed_in_mid_case(lambda: server.run(request(broken, HANGS, load=load)), fifo, victim)
    assert list(beside.values()) == ["R"] * load
    assert children(server.pid) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in beside)


def test_a_case_under_load_comes_to_what_it_comes_to_alone(subject: Subject) -> None:
    assert subject.run(Case(C(Go())), load=2).kind is Kind.PASSED
    row = [Case(C(Go())), Case(Go())]
    assert [one.kind for one in subject.run_in_a_row(row, load=2)] == [Kind.PASSED, Kind.PASSED]
    assert children(servers()._servers[World(), b""].pid) == []


def test_busy_processes_do_not_outlive_their_server(broken: Subject, fifo: Fifo, server: ForkServer) -> None:
    busy: list[int] = []

    def victim() -> int:
        busy.extend(children(server.pid))
        return server.pid

    def run() -> None:
        with pytest.raises(ServerError):
            server.run(request(broken, HANGS, load=2))

    killed_in_mid_case(run, fifo, victim)
    assert len(busy) == 3
    assert all(ended(pid) for pid in busy)


def test_a_child_killed_from_outside_is_a_signal_and_the_server_lives(broken: Subject, fifo: Fifo) -> None:
    server = ForkServer(World())
    statuses: list[int] = []
    child: list[int] = []

    def kill() -> None:
        child.append(fifo.pid())
        os.kill(child[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        statuses.append(server.run(request(broken, HANGS)).status)
        killer.join()
        statuses.append(server.run(request(broken, Case(Go()))).status)
    finally:
        server.close()
    assert statuses == [signal.SIGKILL, 0]


def test_a_server_that_cannot_start_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors("self")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ServerError, match=r"^the fork server for World\(.*\) died at its start$"):
        ForkServer(World())
    assert descriptors("self") == before


@by_both
def test_several_cases_in_a_row_share_a_child(subject: Subject, server: ForkServer) -> None:
    ended_ = server.run(request(subject, Case(Go()), Case(C(Go())), Case(Go())))
    assert (ended_.status, ended_.record.finished) == (0, 3)
    assert len({event.tid for event in ended_.record.events}) == 1


def test_what_an_earlier_case_has_found_out_is_not_shared_with_another_world(subject: Subject) -> None:
    # What pthread_getattr_np told the main thread is cached: a later hidden case would not have to guess.
    cases = [Case(Go()), Case(Go(), bounds="hidden")]
    with pytest.raises(ValueError, match="is not of the world of"):
        subject.run_in_a_row(cases)


@pytest.mark.parametrize(
    "trees",
    [
        (Stack(Go()),),
        (C(Stack(Python(C(Go())))),),
        (Stack(C()), Go()),
        (Signal(), Go()),
        (Python(C(Setrlimit(), Go())),),
        (C(Thread(Go())), C(Go())),
        (Together(Thread(Go())), Export(name="GoEmpty")),
    ],
    ids=repr,
)
def test_a_case_about_the_main_threads_first_callback_belongs_first(trees: tuple[Node, ...]) -> None:
    assert first_matters(Case(*trees))


@pytest.mark.parametrize(
    "trees",
    [
        (Go(),),
        (C(Python(C(Export(name="GoF")))),),
        # What is special comes below or behind the first callback.
        (Go(Stack(Go()), Thread(Go(), kind="go")),),
        (C(Go(), Signal(), Stack(Go())),),
        (C(Python(Go())), Stack(Go())),
        (Go(), Thread(Stack(Go()))),
        # No callback of the main thread: each thread has a first one of its own, wherever the case stands.
        (Thread(Stack(Go())),),
        (Stack(C()), Signal()),
    ],
    ids=repr,
)
def test_another_case_may_stand_anywhere(trees: tuple[Node, ...]) -> None:
    assert not first_matters(Case(*trees))
