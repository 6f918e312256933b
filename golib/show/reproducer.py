"""A case as a small program in C and Go, for somebody who has never heard of golib.

One named function a frame, one statement a step: what a person would write by hand.  main.c has the C
frames, lib/lib.go the Go frames; run.sh builds a c-archive of the one into the other, or, with
MODE=c-shared, a shared library beside it.  Pure: text in, text out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from golib.case import calltree
from golib.case.calltree import Case, Node

GO_LINE = "1.21"
"""go.mod's `go` line, by which Go chooses the defaults of GODEBUG: the seed's library has this one."""

PYTHON_BYTES = 2500
"""What a Python frame between native ones takes of the C stack: 2,480 measured on CPython 3.11."""

CHECKS = {
    "thread sigmask": "mask",
    "count queries": "asked",
    "asked queries": "asked",
    "cached queries": "asked",
    "crossing without_p, too many": "counted",
}
"""What a program can see by itself of a silent fault, by the key of the divergence that golib sees."""

WRONG = "wrong: "
"""Begins the line of a program that has seen such a fault."""
PASSED = "passed"
"""The last line of a program that has come to its end."""


class Untranslatable(ValueError):
    """The case has no such program: one sentence that names what stands in the way."""


@dataclass(frozen=True)
class Program:
    """The files, by their paths, and what differs from the case."""

    files: dict[str, str]
    changes: tuple[str, ...]


def checks_of(keys: Iterable[str]) -> frozenset[str]:
    """Which of the program's own checks show a fault with these divergences."""
    return frozenset(CHECKS[key] for key in keys if key in CHECKS)


def program(case: Case, checks: Iterable[str] = (), seconds: int = 60) -> Program:
    """The program of a legal case.  ``seconds``: it is hung after that many.  Raises Untranslatable."""
    changes: dict[str, None] = {}
    if case.dies:
        raise Untranslatable(
            "dies=: a case that says what it dies of needs no reproducer; take it away to see"
        )
    trees = tuple(_plain(tree, changes) for tree in case.trees)
    if not any(isinstance(one.node, calltree.Go) for one in case.having(*trees).walk()):
        raise Untranslatable(
            f"{case!r}: nothing in it calls Go, and there is nothing of Go's to show; take a case with Go()"
        )
    if case.bounds == "absent":
        changes["bounds='absent' is tried as hidden: pthread_getattr_np gives nothing"] = None
    writer = _Writer(case.having(*trees), frozenset(checks))
    writer.all()
    files = {
        "main.c": writer.main_c(case, tuple(changes)),
        "lib/lib.go": writer.lib_go(),
        "go.mod": f"module reproducer\n\ngo {GO_LINE}\n",
        "run.sh": _run_sh(case, seconds),
    }
    return Program(files, tuple(changes))


def _plain(node: Node, changes: dict[str, None]) -> Node:
    """The node in the words that have a printer: an export of the seed's becomes what it does."""
    go, c = calltree.Go, calltree.C
    body = tuple(_plain(child, changes) for child in node.body)
    match node:
        case calltree.Export() if not node.seeds:
            raise Untranslatable(
                f"{node.label}: a reproducer has no library but its own, and calls no export of another one;"
                " take a case whose frames are Go()"
            )
        case calltree.Export(name="GoEmpty"):
            return go()
        case calltree.Export(name="GoF", p=p):
            return _go_f(p)
        case calltree.Export(p=p):
            inner = c(*body) if body else c(_go_f(0), c(_go_f(p), stack=40_000), _go_f(0))
            return go(inner, recover=True, deferred=(calltree.GC(),)) if p else go(inner)
        case calltree.Signal() if node.body:
            raise Untranslatable(
                f"{node.label}: a reproducer has no handlers of the host's; write it by hand"
            )
        case (
            calltree.AltStack()
            | calltree.AtEnd()
            | calltree.Suspend()
            | calltree.Resume()
            | calltree.Pull()
            | calltree.Next()
            | calltree.Give()
            | calltree.NoCallback()
        ):
            raise Untranslatable(f"{node.label}: a reproducer has no such word yet; write it by hand")
        case calltree.Do():
            raise Untranslatable(
                f"{node.label}: a reproducer has none of your library's Go functions; put a leaf of golib's"
                " in its place"
            )
        case calltree.Python(call=call) if call:
            raise Untranslatable(
                f"{node.label}: a scenario is Python, and a reproducer has none; take the case that golib"
                " reduces a failure to"
            )
        case calltree.Python():
            changes[f"Python frames are C functions of {PYTHON_BYTES} bytes"] = None
            return c(*body, stack=PYTHON_BYTES)
    values = {name: getattr(node, name) for name in node.properties()}
    if values.get("kind") == "python":
        changes["threads of Python's are native threads"] = None
        values["kind"] = "native"
    if "deferred" in values:
        values["deferred"] = tuple(_plain(child, changes) for child in values["deferred"])
    return type(node)(*body, **values)


def _go_f(p: int) -> calltree.Go:
    return calltree.Go(calltree.GC(), calltree.Panic()) if p else calltree.Go(calltree.GC())


GO_LEAVES: dict[type[Node], Callable[[Node], str]] = {
    calltree.GC: lambda _: "runtime.GC()",
    calltree.Panic: lambda _: 'panic("panic")',
    calltree.Goexit: lambda _: "runtime.Goexit()",
    calltree.Yield: lambda _: "runtime.Gosched()",
    calltree.Traceback: lambda _: "runtime.Stack(make([]byte, 1<<16), true)",
    calltree.LockThread: lambda _: "runtime.LockOSThread()\nruntime.Gosched()\nruntime.UnlockOSThread()",
    calltree.Block: lambda _: "block()",
    calltree.Wake: lambda _: "wake()",
    calltree.Random: lambda _: "rand.Read(make([]byte, 64))",
    calltree.Grow: lambda node: f"grow({getattr(node, 'stack', 0)})",
    calltree.Fault: lambda node: FAULTS[getattr(node, "kind", "nil")],
    calltree.Notify: lambda node: f"signal.Notify(relayed, {_signal(node)})",
    calltree.Take: lambda _: "<-relayed",
    calltree.Stop: lambda _: "signal.Stop(relayed)",
    calltree.Ignore: lambda node: f"signal.Ignore({_signal(node)})",
    calltree.Reset: lambda node: f"signal.Reset({_signal(node)})",
    calltree.TurnOn: lambda node: SWITCHES[getattr(node, "name", "")],
    calltree.TurnOff: lambda node: OFF[getattr(node, "name", "")],
}
"""What a leaf is in Go."""

FAULTS: dict[str, str] = {
    "nil": "func() { var nowhere *int; *nowhere = 1 }()",
    "divide": "func(zero int) { println(1 / zero) }(0)",
    "bounds": "func(none []int) { none[0] = 1 }(nil)",
    "map": "func(none map[int]int) { none[0] = 1 }(nil)",
}


def _signal(node: Node) -> str:
    name = getattr(node, "name", "")
    return f"syscall.{name}" if name.isalnum() else f"syscall.Signal({calltree.HANDLED[name]})"


C_LEAVES: dict[type[Node], Callable[[Node], str]] = {
    calltree.Signal: lambda node: f"pthread_kill(pthread_self(), {getattr(node, 'name', '')});",
    calltree.SchedYield: lambda _: "sched_yield();",
    calltree.Gate: lambda node: f"meet(&meeting_{_identifier(getattr(node, 'name', ''))});",
    calltree.Setrlimit: lambda node: f"set_limit({getattr(node, 'stack', 0)});",
}
"""What a leaf is in C."""

_ENDS = (calltree.Panic, calltree.Goexit)
"""Nothing runs behind them."""

GO_HELPERS = {
    "block()": """\
// block waits for a channel that another goroutine closes.
func block() {
	opened := make(chan struct{})
	go close(opened)
	<-opened
}
""",
    "wake()": """\
// wake unlocks a mutex that another goroutine waits for.
func wake() {
	var mu sync.Mutex
	done := make(chan struct{})
	mu.Lock()
	go func() {
		mu.Lock()
		mu.Unlock()
		close(done)
	}()
	runtime.Gosched()
	mu.Unlock()
	<-done
}
""",
    "relayed": """\
var relayed = make(chan os.Signal, 64)
""",
    "grow(": """\
// grow uses that many bytes of the goroutine's stack.
//
//go:noinline
func grow(bytes int) byte {
	var room [1024]byte
	if bytes > len(room) {
		room[bytes%len(room)] = grow(bytes - len(room))
	}
	return room[bytes%len(room)]
}
""",
}

_COUNTED = """\
// notInGo is how many goroutines are said to be in C or in a system call.
//
//export notInGo
func notInGo() uint64 {
	sample := []metrics.Sample{{Name: "/sched/goroutines/not-in-go:goroutines"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0 // this release does not count them
	}
	return sample[0].Value.Uint64()
}
"""

SWITCHES: dict[str, str] = {
    "notify": "signal.Notify(make(chan os.Signal, 64), syscall.SIGUSR1)",
    "trace": "trace.Start(io.Discard)",
    "cpuprofile": "pprof.StartCPUProfile(io.Discard)",
    "blockprofile": "runtime.SetBlockProfileRate(1)",
    "mutexprofile": "runtime.SetMutexProfileFraction(1)",
    "memprofile": "runtime.MemProfileRate = 1",
}
"""How Go turns them on, in its init."""
OFF: dict[str, str] = {
    "trace": "trace.Stop()",
    "cpuprofile": "pprof.StopCPUProfile()",
    "blockprofile": "runtime.SetBlockProfileRate(0)",
    "mutexprofile": "runtime.SetMutexProfileFraction(0)",
    "memprofile": "runtime.MemProfileRate = 512 * 1024",
}
"""And off again."""

_PACKAGES = {
    "io.": "io",
    "os.": "os",
    "signal.": "os/signal",
    "runtime.": "runtime",
    "metrics.": "runtime/metrics",
    "pprof.": "runtime/pprof",
    "trace.": "runtime/trace",
    "rand.": "crypto/rand",
    "sync.": "sync",
    "syscall.": "syscall",
}

C_HELPERS = {
    "start(": """\
static pthread_t start(void *(*body)(void *), size_t bytes, void *memory)
{
	pthread_t thread;
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	if (memory)
		pthread_attr_setstack(&attr, memory, bytes);
	else
		pthread_attr_setstacksize(&attr, bytes);
	if (pthread_create(&thread, &attr, body, NULL)) {
		puts("no thread");
		exit(3);
	}
	pthread_attr_destroy(&attr);
	return thread;
}
""",
    "on_stack(": """\
// The same thread on another stack.
static void on_stack(char *memory, void (*body)(void))
{
	ucontext_t here, there;

	getcontext(&there);
	there.uc_stack.ss_sp = memory;
	there.uc_stack.ss_size = STACK;
	there.uc_link = &here;
	makecontext(&there, body, 0);
	swapcontext(&here, &there);
}
""",
    "reserve(": """\
// The first free memory from that address on.
static char *reserve(char *address)
{
	char *got;

	for (;; address += 16 << 20) {
		got = mmap(address, STACK, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (got == address)
			return got;
		if (errno != EEXIST) {
			puts("no room above the main thread's stack, run it again");
			exit(3);
		}
	}
}
""",
    "main_stack(": """\
// Where the main thread's stack ends.
static char *main_stack(void)
{
	char line[512];
	unsigned long lo, hi = 0;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (fgets(line, sizeof line, maps))
		if (strstr(line, "[stack]"))
			sscanf(line, "%lx-%lx", &lo, &hi);
	fclose(maps);
	return (char *)hi;
}
""",
    "meet(": """\
// Waits, giving the processor away, until all threads of the meeting have come.
static void meet(struct meeting *meeting)
{
	unsigned round = meeting->round;

	if (++meeting->come == meeting->threads) {
		meeting->come = 0;
		meeting->round++;
	}
	while (meeting->round == round)
		sched_yield();
}
""",
    "delay(": """\
// Computes for so long: a step longer each time, and then anew.
static void delay(unsigned long ns, unsigned long steps, unsigned long *runs)
{
	struct timespec begun, now;
	long wanted = ns * ((*runs)++ % steps + 1) / steps;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begun.tv_sec) * 1000000000 + now.tv_nsec - begun.tv_nsec < wanted);
}
""",
    "be_idle(": """\
// The kernel runs this thread only where no other wants to run.
static void be_idle(void)
{
	struct sched_param none = {0};

	sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &none);
}
""",
    "set_limit(": """\
static void set_limit(rlim_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_STACK, &limit);
	limit.rlim_cur = bytes;
	setrlimit(RLIMIT_STACK, &limit);
}
""",
}

_HEADERS = {
    "errno": "errno.h",
    "E_NOSYS": "errno.h",
    "RTLD_NEXT": "dlfcn.h",
    "pthread_": "pthread.h",
    "sched_": "sched.h",
    "SIG": "signal.h",
    "puts(": "stdio.h",
    "exit(": "stdlib.h",
    "strstr": "string.h",
    "mmap(": "sys/mman.h",
    "rlimit": "sys/resource.h",
    "SYS_": "sys/syscall.h",
    "timespec": "time.h",
    "ucontext_t": "ucontext.h",
    "getpid": "unistd.h",
}

_HIDDEN = """\
// A C library that does not know the bounds of its threads' stacks. The runtime calls this one.
int pthread_getattr_np(pthread_t thread, pthread_attr_t *attr)
{
	(void)thread;
	pthread_attr_init(attr);
	return ENOSYS;
}
"""

_ASKED = """\
// Counts how often the runtime asks for the bounds of a stack.
static _Atomic int asked;

int pthread_getattr_np(pthread_t thread, pthread_attr_t *attr)
{
	int (*real)(pthread_t, pthread_attr_t *);

	asked++;
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_getattr_np");
	return real(thread, attr);
}
"""

_READY = """\
// Go's init says that it is done.
static _Atomic int is_ready;

void ready(void)
{
	is_ready = 1;
}
"""

_SENDER = """\
// One more thread sends SIGNAL to the others all the time.
static _Atomic pid_t signalled[32];
static _Atomic unsigned int newest;
static _Atomic int sending = 1;

static void be_signalled(void)
{
	signalled[newest++ % 32] = gettid();
}

static void *send_signals(void *arg)
{
	struct timespec between = {0, 50000};
	sigset_t all;
	int i;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	while (sending) {
		for (i = 0; i < 32; i++)
			if (signalled[i])
				syscall(SYS_tgkill, getpid(), signalled[i], SIGNAL);
		nanosleep(&between, NULL);
	}
	return arg;
}
"""


@dataclass
class _Writer:
    """The functions of a program, as they come."""

    case: Case
    checks: frozenset[str]
    go: list[str] = field(default_factory=list)
    c: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    """C functions that Go calls."""
    trees: list[str] = field(default_factory=list)
    number: int = 0

    @property
    def hidden(self) -> bool:
        return self.case.bounds != "real"

    @property
    def waits(self) -> bool:
        """Whether main waits for Go's init: what it turns on, and handlers of signals."""
        return bool(self.case.on or self.case.signals or self.case.blocked)

    def all(self) -> None:
        for tree in self.case.trees:
            self.trees += self.in_c(tree)

    # A node, where it stands: the statements that run it.

    def in_c(self, node: Node) -> list[str]:
        if isinstance(node, calltree.Delay):  # each counts how often it ran
            self.c.append(f"static unsigned long {self.name('runs')};\n")
            return [f"delay({node.ns}, {node.steps}, &runs{self.number});"]
        if type(node) in C_LEAVES:
            return [C_LEAVES[type(node)](node)]
        return [f"{self.function(node)}();"]

    def in_go(self, node: Node) -> list[str]:
        if type(node) in GO_LEAVES:
            return GO_LEAVES[type(node)](node).splitlines()
        match node:
            case calltree.Thread(kind="go"):
                return [f"{self.go_thread(node)}()"]
            case calltree.Together() if any(_is_go(thread) for thread in node.body):
                return [f"{self.go_together(node)}()"]
        name = self.function(node)
        self.called.append(name)
        return [f"C.{name}()"]

    def body_in_go(self, nodes: Sequence[Node]) -> list[str]:
        lines: list[str] = []
        for node in nodes:
            lines += self.in_go(node)
            if isinstance(node, _ENDS):
                break
        return lines

    def body_in_c(self, node: Node) -> list[str]:
        return [line for child in node.body for line in self.in_c(child)]

    # A frame: its function, written behind those that it calls.

    def name(self, what: str) -> str:
        self.number += 1
        return f"{what}{self.number}"

    def function(self, node: Node) -> str:
        """Writes the function that C calls, and returns its name."""
        match node:
            case calltree.Go():
                name = self.name("go")
                lines = self.frame_in_go(node)
                self.go.append(f"//export {name}\nfunc {name}() {{\n{_indented(lines)}}}\n")
                return name
            case calltree.C():
                name = self.name("c")
                self.c.append(_c_frame(name, node, self.body_in_c(node)))
                return name
            case calltree.Stack():
                name = self.name("stack")
                self.c_function(f"static void on_{name}(void)", self.body_in_c(node))
                self.c_function(f"void {name}(void)", [f"on_stack({_region(node.region)}, on_{name});"])
                return name
            case calltree.Thread():
                name = self.name("thread")
                starting = self.thread(name, node, "")
                self.c_function(f"void {name}(void)", [f"pthread_join({starting}, NULL);"])
                return name
            case calltree.Together():
                name = self.name("together")
                threads = [one for one in node.body if isinstance(one, calltree.Thread)]
                self.native_together(name, threads, policy=node.policy)
                self.c_function(f"void {name}(void)", [f"start_{name}();", f"join_{name}();"])
                return name
        raise Untranslatable(f"{node.label}: a reproducer has no such frame")

    def frame_in_go(self, node: calltree.Go | calltree.Thread) -> list[str]:
        """The statements of a Go frame, with what it defers."""
        lines = ["recover()"] if node.recover else []
        lines += self.body_in_go(node.deferred)
        if lines:
            lines = ["defer func() {", *(f"\t{line}" for line in lines), "}()"]
        return lines + self.body_in_go(node.body)

    def c_function(self, head: str, lines: Sequence[str]) -> None:
        self.c.append(f"{head}\n{{\n{_indented(lines)}}}\n")

    def thread(self, name: str, node: calltree.Thread, gate: str, policy: str = "") -> str:
        """Writes a native thread's function, and returns the expression that starts it."""
        lines = ["be_signalled();"] if self.case.signals else []
        lines += ["be_idle();"] if policy else []
        lines += [f"pthread_barrier_wait(&{gate});"] if gate else []
        lines += self.body_in_c(node)
        memory = "NULL"
        if node.kind == "memory":
            memory = f"memory_of_{name}"
            self.c.append(f"static char {memory}[{node.bytes}] __attribute__((aligned(4096)));\n")
        self.c_function(f"static void *in_{name}(void *arg)", [*lines, "return arg;"])
        return f"start(in_{name}, {node.bytes}, {memory})"

    def native_together(
        self, name: str, threads: Sequence[calltree.Thread], others: int = 0, policy: str = ""
    ) -> None:
        """Writes what starts and joins these threads, which all wait for one another and for ``others``."""
        gate = f"gate_of_{name}"
        self.c.append(
            f"static pthread_barrier_t {gate};\nstatic pthread_t threads_of_{name}[{len(threads) or 1}];\n"
        )
        starting = [f"pthread_barrier_init(&{gate}, NULL, {len(threads) + others});"]
        joining = []
        for index, thread in enumerate(threads):
            start = self.thread(f"{name}_{index}", thread, gate, policy)
            starting.append(f"threads_of_{name}[{index}] = {start};")
            joining.append(f"pthread_join(threads_of_{name}[{index}], NULL);")
        self.c_function(f"void start_{name}(void)", starting)
        self.c_function(f"void join_{name}(void)", joining)

    def go_thread(self, node: calltree.Thread) -> str:
        name = self.name("thread")
        started = _goroutine(["defer close(done)", "runtime.LockOSThread()", *self.frame_in_go(node)])
        self.go.append(
            f"func {name}() {{\n{_indented(['done := make(chan struct{})', *started, '<-done'])}}}\n"
        )
        return name

    def go_together(self, node: calltree.Together) -> str:
        """Threads of which some are Go's: Go starts them all."""
        name = self.name("together")
        threads = [one for one in node.body if isinstance(one, calltree.Thread)]
        goes = [thread for thread in threads if _is_go(thread)]
        self.native_together(name, [thread for thread in threads if not _is_go(thread)], len(goes))
        self.c_function(f"void enter_{name}(void)", [f"pthread_barrier_wait(&gate_of_{name});"])
        self.called += [f"start_{name}", f"join_{name}", f"enter_{name}"]
        lines = ["var done sync.WaitGroup", f"done.Add({len(goes)})", f"C.start_{name}()"]
        for thread in goes:
            inner = ["defer done.Done()", "runtime.LockOSThread()", f"C.enter_{name}()"]
            # A panic must not meet the gate's frame, so that the body has a function of its own.
            lines += _goroutine([*inner, *self.frame_in_go(thread)])
        self.go.append(f"func {name}() {{\n{_indented([*lines, f'C.join_{name}()', 'done.Wait()'])}}}\n")
        return name

    # The files.

    def lib_go(self) -> str:
        parts = list(self.go)
        init = [SWITCHES[switch] for switch in self.case.on]
        if self.waits:
            init.append("C.ready()")
            self.called.append("ready")
        if init:
            parts.append(f"func init() {{\n{_indented(init)}}}\n")
        if "counted" in self.checks:
            parts.append(_COUNTED)
        text = "\n".join(parts)
        parts += [helper for call, helper in GO_HELPERS.items() if call in text]
        text = "\n".join(parts)
        packages = sorted({path for word, path in _PACKAGES.items() if _uses(text, word)})
        head = "package main\n"
        if self.called:
            declared = "".join(f"// void {name}(void);\n" for name in dict.fromkeys(self.called))
            head += f'\n{declared}import "C"\n'
        if len(packages) == 1:
            head += f'\nimport "{packages[0]}"\n'
        elif packages:
            head += "\nimport (\n" + "".join(f'\t"{path}"\n' for path in packages) + ")\n"
        if not self.called:
            head += '\nimport "C"\n'
        return f"{head}\nfunc main() {{}}\n\n{text}"

    def main_c(self, case: Case, changes: Sequence[str]) -> str:
        regions = sorted(
            {one.node.region for one in self.case.walk() if isinstance(one.node, calltree.Stack)}
        )
        parts = []
        if self.hidden:
            parts.append(_HIDDEN)
        elif "asked" in self.checks:
            parts.append(_ASKED)
        if self.waits:
            parts.append(_READY)
        if self.case.signals:
            parts.append(_SENDER.replace("SIGNAL", self.case.signals))
        if regions:
            names = ", ".join(f"*{_region(number)}" for number in regions)
            parts.append(f"#define STACK (256 << 10)\nstatic char {names};\n")
        parts += self.meetings()
        body = self.main_body(regions)
        frames = [*self.c, f"int main(void)\n{{\n{_indented(body)}}}\n"]
        text = "\n".join(frames)
        parts += [helper for call, helper in C_HELPERS.items() if call in text]
        text = "\n".join([*parts, *frames])
        headers = sorted({header for word, header in _HEADERS.items() if word in text} | _also(text))
        about = textwrap.wrap(f"{case!r}", 100, break_long_words=False, break_on_hyphens=False)
        about = ["Made by golib of this case:", *(f"    {line}" for line in about), *changes]
        comment = "".join(f"// {line}\n" for line in about)
        included = "".join(f"#include <{header}>\n" for header in headers)
        return f'{comment}\n#define _GNU_SOURCE\n{included}\n#include "lib.h"\n\n{text}'

    def meetings(self) -> list[str]:
        names = [one.node.name for one in self.case.walk() if isinstance(one.node, calltree.Gate)]
        if not names:
            return []
        each = ", ".join(
            f"meeting_{_identifier(name)} = {{.threads = {names.count(name)}}}"
            for name in dict.fromkeys(names)
        )
        return [f"static struct meeting {{ _Atomic unsigned come, round; unsigned threads; }} {each};\n"]

    def main_body(self, regions: Sequence[int]) -> list[str]:
        declared, lines, end = [], [], []
        for number in regions:
            above = [one for one in regions if (one > 0) == (number > 0) and one < number]
            if above:
                begin = f"{_region(above[-1])} + (16 << 20)"
            else:
                begin = "main_stack() + (16 << 20)" if number > 0 else "(char *)0x100000000000"
            lines.append(f"{_region(number)} = reserve({begin});")
        if self.waits:
            lines += ["while (!is_ready)", "\tsched_yield();"]
        if self.case.blocked:
            declared.append("sigset_t mask;")
            lines += [
                "sigemptyset(&mask);",
                f"sigaddset(&mask, {self.case.blocked});",
                "pthread_sigmask(SIG_BLOCK, &mask, NULL);",
            ]
            if "mask" in self.checks:
                end += [
                    "pthread_sigmask(SIG_BLOCK, NULL, &mask);",
                    *_wrong(
                        f"!sigismember(&mask, {self.case.blocked})",
                        f'puts("{WRONG}{self.case.blocked} is blocked no more");',
                    ),
                ]
        if self.case.signals:
            declared.append("pthread_t sender;")
            lines += ["be_signalled();", "pthread_create(&sender, NULL, send_signals, NULL);"]
            end = ["sending = 0;", "pthread_join(sender, NULL);", *end]
        most = self.case.size() + 2  # each frame once, and Go's start
        if "asked" in self.checks and not self.hidden:
            said = f'printf("{WRONG}pthread_getattr_np was asked %d times\\n", asked);'
            end += _wrong(f"asked > {most}", said)
        if "counted" in self.checks:
            said = f'printf("{WRONG}%d goroutines are said to be in C\\n", (int)notInGo());'
            end += _wrong(f"notInGo() > {most}", said)
        lines = [*declared, "", *lines] if declared else lines
        return [*lines, *self.trees, *end, f'puts("{PASSED}");', "return 0;"]


def _wrong(condition: str, said: str) -> list[str]:
    return [f"if ({condition}) {{", f"\t{said}", "\treturn 1;", "}"]


def _is_go(node: Node) -> bool:
    return isinstance(node, calltree.Thread) and node.kind == "go"


def _identifier(name: str) -> str:
    """A name in C for any text."""
    return "".join(one if one.isascii() and one.isalnum() else f"_{ord(one):x}_" for one in name)


def _region(number: int) -> str:
    return f"above_{number}" if number > 0 else f"below_{-number}"


def _goroutine(lines: Sequence[str]) -> list[str]:
    return ["go func() {", *(f"\t{line}" for line in lines), "}()"]


def _indented(lines: Sequence[str]) -> str:
    return "".join(f"\t{line}\n" if line else "\n" for line in lines)


def _c_frame(name: str, node: calltree.C, body: list[str]) -> str:
    lines = body
    if node.times > 1:
        lines = [
            f"for (long round = 0; round < {node.times}; round++) {{",
            *(f"\t{line}" for line in body),
            "}",
        ]
    head = f"void {name}(void)"
    if node.stack:
        # A frame of which nothing is used is optimised away, or given to whoever calls it.
        head = f"__attribute__((noinline)) {head}"
        lines = [
            f"volatile char room[{node.stack}];",
            "",
            f"room[0] = room[{node.stack - 1}] = 1;",
            *lines,
            '__asm__ volatile("" : : "r"(room) : "memory");',
        ]
    return f"{head}\n{{\n{_indented(lines)}}}\n"


def _uses(text: str, word: str) -> bool:
    """Whether the Go text names that package."""
    return any(f"{before}{word}" in text for before in ("\t", "(", " ", "]", "*", "\n"))


def _also(text: str) -> set[str]:
    """The headers of names that are short or mean more than one thing."""
    also = {"errno.h"} if "ENOSYS" in text else set()
    if "printf(" in text or "fopen(" in text:
        also.add("stdio.h")
    return also


def _run_sh(case: Case, seconds: int) -> str:
    limit = calltree.DEFAULT_STACK if case.stack_limit is None else case.stack_limit
    kib = limit // calltree.KIB if isinstance(limit, int) else limit
    world = "".join(f"export {name}={value!r}\n" for name, value in calltree.variables(case).items() if value)
    pinned = f"taskset -c 0-{case.processors - 1} " if case.processors else ""
    return f"""\
#!/bin/bash
# ./run.sh builds and runs it, ./run.sh build and ./run.sh run do one of both.
# GO=go1.27.4 MODE=c-shared CC=gcc OPT=-O0 ./run.sh; without these: go, c-archive, cc, -O2
set -eu
cd "$(dirname "$0")"
GO=${{GO:-go}}
CC=${{CC:-cc}}
OPT=${{OPT:--O2}}
if [ "${{1:-}}" = run ]; then
	: # what is there
elif [ "${{MODE:-c-archive}}" = c-shared ]; then
	"$GO" build -buildmode=c-shared -o lib.so ./lib
	mv lib.h lib/
	"$CC" -g "$OPT" -Wall -Wextra -Werror -Ilib -o reproducer main.c ./lib.so -Wl,-rpath,. -ldl -pthread
else
	"$GO" build -buildmode=c-archive -o lib.a ./lib
	mv lib.h lib/
	"$CC" -g "$OPT" -Wall -Wextra -Werror -Ilib -o reproducer main.c lib.a -ldl -pthread
fi
if [ "${{1:-}}" = build ]; then
	exit
fi
ulimit -c 0
ulimit -S -s {kib}
{world}# A program that hangs shows its stacks when it is sent SIGSEGV.
exec {pinned}timeout --foreground -s SEGV -k 10 "${{SECONDS_EACH:-{seconds}}}" ./reproducer
"""
