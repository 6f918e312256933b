"""Moments of a process in which a host may find Go: its end, with threads in Go or with Go called by what
runs then, and a fork; and what the host had before it loaded Go: timers, blocked and ignored signals.  A
destructor of a thread is AtEnd, in test_host.py.

Go's documentation says nothing of them.  What POSIX says of exit and fork holds for a process whatever it has
loaded: silent.
"""

import os
import signal
import subprocess
import sys

import pytest

from golib.toolchains import sanitizers

PROCESS = """\
import ctypes, os, sys, threading
library = ctypes.CDLL(sys.argv[1])
libc = ctypes.CDLL(None)
callback = ctypes.CFUNCTYPE(None)
library.GoEmpty()
"""
SECONDS = 30


def ended(bridge, script, loaded=PROCESS):
    """A process of its own; unless the script loads the library itself, it has done so and called it."""
    library = bridge.subject().library
    return subprocess.run(
        [sys.executable, "-c", loaded + script, str(library.path)],
        env=os.environ | dict(sanitizers.variables(library)),
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip


THREADS = """
ready = threading.Barrier(5)
def calls():
    ready.wait()
    while True:
        library.callGoWithVariousStackAndGoFrame(0)
for _ in range(4):
    threading.Thread(target=calls, daemon=True).start()
ready.wait()
"""


@pytest.mark.parametrize(
    "leave", ["libc.exit(7)", "os._exit(7)", "sys.exit(7)"], ids=["exit", "_exit", "python"]
)
def test_the_process_ends_while_threads_call(golib_bridge, leave):
    done = ended(golib_bridge, THREADS + leave)
    assert (done.returncode, done.stderr) == (7, "")


@pytest.mark.parametrize("status", [0, 1])
def test_what_runs_at_the_end_calls_go(golib_bridge, status):
    """on_exit(3) gives its function the status: GoF(1) panics, and nobody recovers."""
    done = ended(golib_bridge, f"libc.on_exit(library.GoF, None)\nlibc.exit({status})")
    assert ("panic:" in done.stderr) == bool(status)
    assert bool(done.returncode) == bool(status)


FORK = """
import signal
def status_of(child):
    pid = os.fork()
    if pid == 0:
        child()
        os._exit(5)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@pytest.mark.parametrize(
    "leave", ["libc.exit(3)", "os._exit(3)", "os.abort()"], ids=["exit", "_exit", "abort"]
)
@pytest.mark.parametrize("threads", ["", THREADS], ids=["alone", "threads"])
def test_a_forked_child_that_leaves(golib_bridge, leave, threads):
    forks = f"for _ in range(20): print(status_of(lambda: {leave}), flush=True)"
    done = ended(golib_bridge, f"{threads}{FORK}\n{forks}\nos._exit(0)")
    assert done.returncode == 0
    assert {int(line) for line in done.stdout.split()} == {-signal.SIGABRT if leave == "os.abort()" else 3}


def test_what_a_forked_child_executes_begins_as_any_program(golib_bridge):
    """No signal is blocked or ignored for it that was not before.  SIGPIPE, which Python ignores, has Go's
    handler now, as os/signal says, and a handler becomes the default in what is executed."""
    executes = "os.execv('/bin/grep', ['grep', '^Sig[BI]', '/proc/self/status'])"
    seen = ended(golib_bridge, f"{FORK}\nprint(status_of(lambda: {executes}))").stdout.split()
    plain = subprocess.run(
        [sys.executable, "-c", f"import os; {executes}"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert seen[0:4:2] == plain[0:4:2] == ["SigBlk:", "SigIgn:"]
    blocked, ignored = int(plain[1], 16), int(plain[3], 16)
    assert int(seen[1], 16) == blocked
    # 33 is the C library's own: it has a handler as soon as there is a thread (nptl, SIGSETXID).
    handled = {signal.SIGPIPE, 33}
    assert int(seen[3], 16) == ignored & ~sum(1 << (number - 1) for number in handled)


def test_a_forked_child_calls_go(golib_bridge):
    """Into Go and out again, on the thread that forked: no other is there.  What needs one, a collection say,
    waits for ever; Go does not say that either.  With -asan so did one child of 13, forked on a busy machine:
    there are some of these."""
    forks = 4 if golib_bridge.subject().library.flags else 1
    calls = f"""
def calls():
    signal.alarm(5)
    library.GoEmpty()
    library.GoEmpty()
    os._exit(0)
print(any(status_of(calls) == 0 for _ in range({forks})))
"""
    assert ended(golib_bridge, FORK + calls).stdout == "True\n"


@pytest.mark.parametrize("kept", ["SIGALRM", "SIGVTALRM", "SIGPROF"])
def test_an_interval_timer_of_the_hosts(golib_bridge, kept):
    """It was set before the load, with a handler of the host's, and goes on while threads call Go."""
    which = {"SIGALRM": "ITIMER_REAL", "SIGVTALRM": "ITIMER_VIRTUAL", "SIGPROF": "ITIMER_PROF"}[kept]
    script = f"""
import ctypes, signal, sys, threading
came = 0
def handler(*_):
    global came
    came += 1
signal.signal(signal.{kept}, handler)
signal.setitimer(signal.{which}, 0.001, 0.001)
library = ctypes.CDLL(sys.argv[1])
threading.Thread(target=lambda: [library.callGoWithVariousStackAndGoFrame(0) for _ in range(20)]).start()
before = came
while came < before + 20:
    library.GoEmpty()
print(signal.setitimer(signal.{which}, 0)[1])
"""
    done = ended(golib_bridge, script, loaded="")
    assert (done.stdout, done.stderr, done.returncode) == ("0.001\n", "", 0)


SIGRTMIN = pytest.param(
    "SIGRTMIN",
    marks=pytest.mark.xfail(
        strict=True,
        reason="Go unblocks signal 34 on its threads, for musl's sake (go#39343), and os/signal does not"
        " name it: the process dies of it",
    ),
)


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGTERM", "SIGINT", "SIGRTMAX", SIGRTMIN])
@pytest.mark.parametrize("take", ["sigwait", "signalfd"])
def test_a_signal_that_all_threads_have_blocked_is_taken_by_the_host(golib_bridge, name, take):
    """ "If the Go program is started with a non-empty signal mask, that will generally be honored. However,
    some signals are explicitly unblocked: the synchronous signals, SIGILL, SIGTRAP, SIGSTKFLT, SIGCHLD,
    SIGPROF, and, on Linux, signals 32 (SIGCANCEL) and 33 (SIGSETXID)" (os/signal): so on Go's own threads,
    too.  See go#55066."""
    taken = {
        "sigwait": "signal.sigwait({number})",
        "signalfd": "struct.unpack_from('I', os.read(libc.signalfd(-1, mask, 0), 128))[0]",
    }[take]
    script = f"""
import ctypes, os, signal, struct, sys, threading
number = signal.{name}
libc = ctypes.CDLL(None)
mask = ctypes.create_string_buffer(128)
libc.sigaddset(mask, number)
signal.pthread_sigmask(signal.SIG_BLOCK, {{number}})
library = ctypes.CDLL(sys.argv[1])
threads = [threading.Thread(target=library.GoF, args=(0,)) for _ in range(4)]
for one in threads: one.start()
library.GoF(0)
for one in threads: one.join()
for _ in range(20):
    os.kill(os.getpid(), number)
    assert {taken} == number
print("taken")
"""
    done = ended(golib_bridge, script, loaded="")
    assert (done.stdout, done.stderr, done.returncode) == ("taken\n", "", 0)


def test_an_ignored_signal_stays_ignored(golib_bridge):
    """Also for what the process executes; but SIGPIPE, of which Go has the handler."""
    names = ["SIGHUP", "SIGINT", "SIGUSR1", "SIGPIPE", "SIGCHLD"]
    script = f"""
import ctypes, os, signal, sys
for name in {names}: signal.signal(getattr(signal, name), signal.SIG_IGN)
library = ctypes.CDLL(sys.argv[1])
library.GoF(0)
os.kill(os.getpid(), signal.SIGHUP)
os.execv('/bin/grep', ['grep', '^SigIgn', '/proc/self/status'])
"""
    done = ended(golib_bridge, script, loaded="")
    wanted = sum(1 << (getattr(signal, name) - 1) for name in names if name != "SIGPIPE")
    assert int(done.stdout.split()[1], 16) & wanted == wanted
    assert done.returncode == 0


LATER = pytest.param(
    "later",
    marks=pytest.mark.xfail(
        strict=True,
        reason="the other side of golib-10: only a thread's first callback unblocks anything, so Go runs with"
        " blocked what C has blocked since",
    ),
)


@pytest.mark.parametrize("when", ["first", LATER])
def test_what_c_has_blocked_is_unblocked_while_go_runs(golib_bridge, when):
    """ "If the non-Go code starts a new thread, changes the signal mask, and then invokes a Go function in
    that thread, the Go runtime will automatically unblock certain signals: […] SIGPROF" (os/signal): another
    thread looks at it while Go collects."""
    script = f"""
import signal
seen, over = set(), threading.Event()
def look(tid):
    while not over.is_set():
        with open(f"/proc/self/task/{{tid}}/status") as status:
            mask = next(line for line in status if line.startswith("SigBlk:"))
        seen.add(int(mask.split()[1], 16) >> (signal.SIGPROF - 1) & 1)
def calls():
    if {when!r} == "later":
        library.GoEmpty()
    signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGPROF}})
    looking = threading.Thread(target=look, args=(threading.get_native_id(),))
    looking.start()
    for _ in range(500):
        library.GoF(0)
    over.set()
    looking.join()
thread = threading.Thread(target=calls)
thread.start()
thread.join()
print(0 in seen)
"""
    assert ended(golib_bridge, script).stdout == "True\n"
