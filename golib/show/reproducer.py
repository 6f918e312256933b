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
from golib.show import pieces, visits

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
    "handler sigmask": "handler's mask",
    "handler did": "handled",
    "order event": "handled",
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
    visits: tuple[tuple[str, ...], ...] = ()
    """Of a program that says where it comes: the frames of each thread, in order (``golib.show.visits``)."""


def checks_of(keys: Iterable[str]) -> frozenset[str]:
    """Which of the program's own checks show a fault with these divergences."""
    return frozenset(CHECKS[key] for key in keys if key in CHECKS)


def program(case: Case, checks: Iterable[str] = (), seconds: int = 60, trace: bool = False) -> Program:
    """The program of a legal case.  ``seconds``: it is hung after that many.  ``trace``: each frame says its
    name first.  Raises Untranslatable."""
    changes: dict[str, None] = {}
    if case.dies:
        raise Untranslatable(
            "dies=: a case that says what it dies of needs no reproducer; take it away to see"
        )
    if case.second == "before":
        raise Untranslatable(
            "second='before': a reproducer has its library from its start on, and what it loads comes after"
            " it; take second='after'"
        )
    trees = tuple(_plain(tree, changes) for tree in case.trees)
    if not any(isinstance(one.node, calltree.Go) for one in case.having(*trees).walk()):
        raise Untranslatable(
            f"{case!r}: nothing in it calls Go, and there is nothing of Go's to show; take a case with Go()"
        )
    if case.bounds == "absent":
        changes["bounds='absent' is tried as hidden: pthread_getattr_np gives nothing"] = None
    writer = _Writer(case.having(*trees), frozenset(checks), trace)
    writer.all()
    files = {
        "main.c": writer.main_c(case, tuple(changes)),
        "lib/lib.go": writer.lib_go(),
        "go.mod": f"module reproducer\n\ngo {GO_LINE}\n",
        "run.sh": _run_sh(case, seconds),
    }
    if case.second:
        files["second/second.go"] = pieces.SECOND
    return Program(files, tuple(changes), visits.expected(writer.case, writer.names) if trace else ())


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
        case calltree.Signal() if node.body and (node.name in calltree.SYNCHRONOUS or node.by == "child"):
            raise Untranslatable(
                f"{node.label}: a reproducer has handlers of signals that are sent, not of what C does; write"
                " it by hand"
            )
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
    calltree.Spin: lambda _: "spin()",
    calltree.Random: lambda _: "rand.Read(make([]byte, 64))",
    calltree.Grow: lambda node: f"grow({getattr(node, 'stack', 0)})",
    calltree.Fault: lambda node: FAULTS[getattr(node, "kind", "nil")],
    calltree.Notify: lambda node: f"signal.Notify(relayed, {_signal(node)})",
    calltree.Take: lambda _: "<-relayed",
    calltree.Next: lambda node: f"next_{_identifier(getattr(node, 'name', ''))}()",
    calltree.Stop: lambda _: "signal.Stop(relayed)",
    calltree.Ignore: lambda node: f"signal.Ignore({_signal(node)})",
    calltree.Reset: lambda node: f"signal.Reset({_signal(node)})",
    calltree.TurnOn: lambda node: pieces.SWITCHES[getattr(node, "name", "")],
    calltree.TurnOff: lambda node: pieces.OFF[getattr(node, "name", "")],
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
    calltree.Resume: lambda node: f"resume(&{_coroutine(getattr(node, 'region', 0))});",
    calltree.Setrlimit: lambda node: f"set_limit({getattr(node, 'stack', 0)});",
}
"""What a leaf is in C."""

_ENDS = (calltree.Panic, calltree.Goexit)
"""Nothing runs behind them."""


_MASK = f"""\
// At the end of a thread: main has blocked SIGNAL, and a thread begins with the mask of who starts it.
static void look_at_the_mask(void)
{{
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	if (!sigismember(&mask, SIGNAL)) {{
		puts("{WRONG}SIGNAL is blocked no more");
		exit(1);
	}}
}}
"""


@dataclass
class _Writer:
    """The functions of a program, as they come."""

    case: Case
    checks: frozenset[str]
    trace: bool
    go: list[str] = field(default_factory=list)
    c: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    """C functions that Go calls."""
    trees: list[str] = field(default_factory=list)
    number: int = 0
    inside: list[int] = field(default_factory=list)
    """The foreign stacks on which the next frame stands, the innermost last."""
    pulled: list[str] = field(default_factory=list)
    """The coroutines of Go's in which it stands."""
    keys: list[str] = field(default_factory=list)
    """Of threads: what runs at their ends."""
    directives: list[str] = field(default_factory=list)
    """For cgo, above its import."""
    names: dict[int, str] = field(default_factory=dict)
    """Of a trace: the frames that say their names, by the ``id`` of the node."""

    @property
    def hidden(self) -> bool:
        return self.case.bounds != "real"

    @property
    def waits(self) -> bool:
        """Whether main waits for Go's init: what it turns on, and handlers of signals."""
        late = self.case.handled() and not self.early
        return bool(self.case.on or self.case.signals or self.case.blocked or late or self.case.second)

    @property
    def early(self) -> bool:
        """Whether the host has its handlers before Go starts."""
        return "early" in self.case.handlers

    @property
    def leaves_stacks(self) -> bool:
        return any(isinstance(one.node, calltree.Suspend) for one in self.case.walk())

    def all(self) -> None:
        for tree in self.case.trees:
            self.trees += self.in_c(tree)

    # A node, where it stands: the statements that run it.

    def in_c(self, node: Node) -> list[str]:
        if isinstance(node, calltree.Delay):  # each counts how often it ran
            self.c.append(f"static unsigned long {self.name('runs')};\n")
            return [f"delay({node.ns}, {node.steps}, &runs{self.number});"]
        match node:
            case calltree.Signal() if node.body:
                return self.handler(node)
            case calltree.AtEnd():
                return [f"pthread_setspecific({self.at_end(node)}, (void *){node.round}L);"]
            case calltree.Suspend():
                return [f"leave(&{_coroutine(self.inside[-1])});"]
        if type(node) in C_LEAVES:
            return [C_LEAVES[type(node)](node)]
        return [f"{self.function(node)}();"]

    def in_go(self, node: Node) -> list[str]:
        if type(node) in GO_LEAVES:
            return GO_LEAVES[type(node)](node).splitlines()
        match node:
            case calltree.NoCallback():
                return [f"C.{self.no_callback()}()"]
            case calltree.Pull():
                return self.pull(node)
            case calltree.Give():
                return [f"yield_{self.pulled[-1]}(0)"]
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

    def visit(self, name: str, node: Node, line: Callable[[str], str] = visits.in_c) -> list[str]:
        """What a frame says first, where the program tells its way."""
        if not self.trace:
            return []
        self.names[id(node)] = name
        return [line(name)]

    def function(self, node: Node) -> str:
        """Writes the function that C calls, and returns its name."""
        match node:
            case calltree.Go():
                name = self.name("go")
                lines = self.visit(name, node, visits.in_go) + self.frame_in_go(node)
                self.go.append(f"//export {name}\nfunc {name}() {{\n{_indented(lines)}}}\n")
                return name
            case calltree.C():
                name = self.name("c")
                self.c.append(_c_frame(name, node, self.visit(name, node), self.body_in_c(node)))
                return name
            case calltree.Stack():
                name = self.name("stack")
                self.inside.append(node.region)
                lines = self.visit(name, node) + self.body_in_c(node)
                self.inside.pop()
                entering = f"on_stack({_region(node.region)}, on_{name});"
                if self.leaves_stacks:
                    on = _coroutine(node.region)
                    entering = f"enter(&{on}, {_region(node.region)}, on_{name});"
                    lines.append(f"setcontext({on}.back);")
                self.c_function(f"static void on_{name}(void)", lines)
                self.c_function(f"void {name}(void)", [entering])
                return name
            case calltree.AltStack():
                name = self.name("altstack")
                lines = self.visit(name, node) + self.body_in_c(node)
                self.c_function(f"static void in_{name}(void)", lines)
                self.c_function(f"void {name}(void)", [f"with_altstack({node.size}, in_{name});"])
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

    def handler(self, node: calltree.Signal) -> list[str]:
        """Writes what the host's handler does, and returns what sends the signal to its thread."""
        name = self.name("handler")
        lines = self.visit(name, node)
        if "handler's mask" in self.checks:
            said = f'puts("{WRONG}the host\'s handler runs with all signals blocked");'
            lines = ["sigset_t mask;", "", "pthread_sigmask(SIG_BLOCK, NULL, &mask);", *lines]
            lines += _wrong("sigismember(&mask, SIGHUP)", said, "exit(1);")
        self.c_function(f"static void {name}(void)", lines + self.body_in_c(node))
        way = "kill(getpid()" if node.by == "kill" else "pthread_kill(pthread_self()"
        sent = [f"handling = {name};", f"{way}, {node.name});"]
        if "handled" in self.checks:
            said = f'puts("{WRONG}the host\'s handler of {node.name} was not called");'
            sent += _wrong("handling", said, "exit(1);")
        return sent

    def at_end(self, node: calltree.AtEnd) -> str:
        """Writes the destructor of a key of the thread's, and returns the key's name."""
        name = self.name("at_end")
        self.keys.append(name)
        again = f"pthread_setspecific({name}, (void *)((long)left - 1));"
        waits = ["if ((long)left > 1) {", f"\t{again}", "\treturn;", "}"]
        self.c.append(f"static pthread_key_t {name};\n")
        lines = waits + self.visit(name, node) + self.body_in_c(node)
        self.c_function(f"static void run_{name}(void *left)", lines)
        return name

    def no_callback(self) -> str:
        """Writes a C function that calls Go, though Go was told that it would not."""
        name, called = self.name("nocallback"), self.name("go")
        self.go.append(f"//export {called}\nfunc {called}() {{}}\n")
        self.c_function(f"void {name}(void)", [f"{called}();"])
        self.called.append(name)
        self.directives.append(f"// #cgo nocallback {name}\n")
        return name

    def pull(self, node: calltree.Pull) -> list[str]:
        name = _identifier(node.name)
        self.go.append(f"var (\n\tnext_{name}  func() (int, bool)\n\tyield_{name} func(int) bool\n)\n")
        self.pulled.append(name)
        body = [f"yield_{name} = yield", *self.body_in_go(node.body)]
        self.pulled.pop()
        return [
            f"next_{name}, _ = iter.Pull(func(yield func(int) bool) {{",
            *(f"\t{line}" for line in body),
            "})",
        ]

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
        lines += ["pthread_setspecific(ending, &ending);"] if self.looks_at_ends else []
        lines += ["be_idle();"] if policy else []
        lines += [f"pthread_barrier_wait(&{gate});"] if gate else []
        lines += self.visit(name, node) + self.body_in_c(node)
        lines += ["look_at_the_mask();"] if self.case.blocked and "mask" in self.checks else []
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
        started = f"static pthread_t threads_of_{name}[{len(threads)}];\n" if threads else ""
        self.c.append(f"static pthread_barrier_t {gate};\n{started}")
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
        lines = self.visit(name, node, visits.in_go) + self.frame_in_go(node)
        started = _goroutine(["defer close(done)", "runtime.LockOSThread()", *lines])
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
        for number, thread in enumerate(goes):
            inner = ["defer done.Done()", "runtime.LockOSThread()", f"C.enter_{name}()"]
            inner += self.visit(f"{name}_go_{number}", thread, visits.in_go)
            # A panic must not meet the gate's frame, so that the body has a function of its own.
            lines += _goroutine([*inner, *self.frame_in_go(thread)])
        self.go.append(f"func {name}() {{\n{_indented([*lines, f'C.join_{name}()', 'done.Wait()'])}}}\n")
        return name

    @property
    def looks_at_ends(self) -> bool:
        """Whether it looks for what a thread has blocked when it ends."""
        return "mask" in self.checks and bool(self.case.handled())

    # The files.

    def lib_go(self) -> str:
        parts = list(self.go)
        init = [pieces.SWITCHES[switch] for switch in self.case.on]
        if self.waits:
            init.append("C.ready()")
            self.called.append("ready")
        if init:
            parts.append(f"func init() {{\n{_indented(init)}}}\n")
        if "counted" in self.checks:
            parts.append(pieces.COUNTED)
        text = "\n".join(parts)
        parts += [helper for call, helper in pieces.GO_HELPERS.items() if call in text]
        parts += [visits.GO_VISIT] if self.trace else []
        text = "\n".join(parts)
        packages = sorted({path for word, path in pieces.PACKAGES.items() if _uses(text, word)})
        head = "package main\n"
        if self.called:
            declared = "".join(f"// void {name}(void);\n" for name in dict.fromkeys(self.called))
            head += f'\n{declared}{"".join(self.directives)}import "C"\n'
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
            parts.append(pieces.HIDDEN)
        elif "asked" in self.checks:
            parts.append(pieces.ASKED)
        if self.waits:
            parts.append(pieces.READY)
        if self.case.signals:
            parts.append(pieces.SENDER.replace("SIGNAL", self.case.signals))
        parts += self.handlers()
        if "look_at_the_mask();" in "".join(self.c):
            parts.append(_MASK.replace("SIGNAL", self.case.blocked))
        if regions:
            names = ", ".join(f"*{_region(number)}" for number in regions)
            parts.append(f"#define STACK (256 << 10)\nstatic char {names};\n")
        if self.leaves_stacks:
            names = ", ".join(map(_coroutine, regions))
            parts.append(f"static struct coroutine {{ ucontext_t there, *back; }} {names};\n")
        parts += self.meetings()
        body = self.main_body(regions)
        frames = [*self.c, f"int main(void)\n{{\n{_indented(body)}}}\n"]
        text = "\n".join(frames)
        parts += [helper for call, helper in pieces.C_HELPERS.items() if call in text]
        parts += [visits.C_VISIT] if 'visit("' in text else []
        text = "\n".join([*parts, *frames])
        headers = sorted({header for word, header in pieces.HEADERS.items() if word in text} | _also(text))
        about = textwrap.wrap(f"{case!r}", 100, break_long_words=False, break_on_hyphens=False)
        about = ["Made by golib of this case:", *(f"    {line}" for line in about), *changes]
        comment = "".join(f"// {line}\n" for line in about)
        included = "".join(f"#include <{header}>\n" for header in headers)
        return f'{comment}\n#define _GNU_SOURCE\n{included}\n#include "lib.h"\n\n{text}'

    def handlers(self) -> list[str]:
        """The host's, and what installs them."""
        if not (handled := self.case.handled()):
            return []
        made = [pieces.HANDLING]
        if self.looks_at_ends:
            made.append(pieces.ENDING.replace("SIGNAL", handled[0]))
        flags = "0" if "nostack" in self.case.handlers else "SA_ONSTACK"
        fill = "sigfillset" if "masked" in self.case.handlers else "sigemptyset"
        lines = [
            f"struct sigaction action = {{.sa_handler = handle, .sa_flags = {flags}}};",
            "",
            f"{fill}(&action.sa_mask);",
            *(f"sigaction({name}, &action, NULL);" for name in handled),
        ]
        made.append(f"static void install_handlers(void)\n{{\n{_indented(lines)}}}\n")
        if self.early:
            made.append(
                "// Before the libraries' own start, Go's among them.\n"
                '__attribute__((section(".preinit_array"), used))\n'
                "static void (*before_go)(void) = install_handlers;\n"
            )
        return made

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
        if self.case.handled() and not self.early:
            lines.append("install_handlers();")
        lines += [f"pthread_key_create(&{name}, run_{name});" for name in self.keys]
        if self.looks_at_ends:
            lines.append("pthread_key_create(&ending, at_the_end);")
            said = f'puts("{WRONG}a thread has {self.case.handled()[0]} blocked when it ends");'
            end += _wrong("blocked_at_the_end", said)
        if self.case.second:
            lines.append("load_second();")
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


def _wrong(condition: str, said: str, leaving: str = "return 1;") -> list[str]:
    return [f"if ({condition}) {{", f"\t{said}", f"\t{leaving}", "}"]


def _is_go(node: Node) -> bool:
    return isinstance(node, calltree.Thread) and node.kind == "go"


def _identifier(name: str) -> str:
    """A name in C for any text."""
    return "".join(one if one.isascii() and one.isalnum() else f"_{ord(one):x}_" for one in name)


def _region(number: int) -> str:
    return f"above_{number}" if number > 0 else f"below_{-number}"


def _coroutine(number: int) -> str:
    return f"on_{_region(number)}"


def _goroutine(lines: Sequence[str]) -> list[str]:
    return ["go func() {", *(f"\t{line}" for line in lines), "}()"]


def _indented(lines: Sequence[str]) -> str:
    return "".join(f"\t{line}\n" if line else "\n" for line in lines)


def _c_frame(name: str, node: calltree.C, first: list[str], body: list[str]) -> str:
    lines = body
    if node.times > 1:
        lines = [
            f"for (long round = 0; round < {node.times}; round++) {{",
            *(f"\t{line}" for line in body),
            "}",
        ]
    lines = first + lines
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
    second = ""
    if case.second:
        second = 'if [ "${1:-}" != run ]; then\n\t"$GO" build -buildmode=c-shared -o second.so ./second\nfi\n'
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
{second}if [ "${{1:-}}" = build ]; then
	exit
fi
ulimit -c 0
ulimit -S -s {kib}
{world}# A program that hangs shows its stacks when it is sent SIGSEGV.
exec {pinned}timeout --foreground -s SEGV -k 10 "${{SECONDS_EACH:-{seconds}}}" ./reproducer
"""
