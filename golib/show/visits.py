"""Which frames a program comes through (``golib.show.reproducer``), told by the program itself on stderr, and
held against the script of its case.

Only a program that was asked for its trace has these lines.  Each frame writes its name with write(2), first
thing: with no lock, no buffer and no scheduler of Go's between.  Pure: text in, text out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from golib.case.calltree import C, Case, GoLeaf, Node
from golib.case.script import Phase, script

VISITS = "visits "
"""Begins each of the lines; the thread's id and the frame's name follow."""

C_VISIT = f"""\
// Says which thread has come into which frame.
static void visit(const char *frame)
{{
	char line[64];
	int bytes = snprintf(line, sizeof line, "{VISITS}%d %s\\n", gettid(), frame);

	if (write(2, line, bytes) != bytes)
		exit(3);
}}
"""

GO_VISIT = f"""\
// visit says which thread has come into which frame.
func visit(frame string) {{
	line := []byte("{VISITS}" + strconv.Itoa(syscall.Gettid()) + " " + frame + "\\n")
	syscall.RawSyscall(syscall.SYS_WRITE, 2, uintptr(unsafe.Pointer(&line[0])), uintptr(len(line)))
}}
"""


def in_c(name: str) -> str:
    return f'visit("{name}");'


def in_go(name: str) -> str:
    return f'visit("{name}")'


def expected(case: Case, names: Mapping[int, str]) -> tuple[tuple[str, ...], ...]:
    """The frames that each thread comes into, in order, the main thread first.  names: by the ``id`` of each
    node of the case whose frame says its name."""
    told = dict(names)
    whole = case.having(*[_unrolled(tree, told) for tree in case.trees])
    # By number: of equal cases, script() may give the steps of another one, whose nodes are other objects.
    numbers = {one.number: told[id(one.node)] for one in whole.walk() if id(one.node) in told}
    return tuple(
        tuple(
            numbers[step.number]
            for step in thread.steps
            if step.phase is Phase.ENTERED and step.number in numbers
        )
        for thread in script(whole)
    )


def _unrolled(node: Node, names: dict[int, str]) -> Node:
    """The node with a repeated body as often as it runs: the script has its first and its last round only."""
    if isinstance(node, GoLeaf) or (not node.body and not getattr(node, "deferred", ())):
        return node
    values = {name: getattr(node, name) for name in node.properties()}
    if "deferred" in values:
        values["deferred"] = tuple(_unrolled(child, names) for child in values["deferred"])
    body = [_unrolled(child, names) for child in node.body]
    if isinstance(node, C):
        body *= node.times
        values["times"] = 1
    made = type(node)(*body, **values)
    if name := names.get(id(node)):
        names[id(made)] = name
    return made


def seen(stderr: str) -> list[tuple[str, ...]]:
    """What each thread said, in the order of their first words."""
    threads: dict[str, list[str]] = defaultdict(list)
    for line in stderr.splitlines():
        if line.startswith(VISITS):
            thread, _, frame = line.removeprefix(VISITS).partition(" ")
            threads[thread].append(frame)
    return [tuple(frames) for frames in threads.values()]


def without(stderr: str) -> str:
    """What else stands there."""
    lines = stderr.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(VISITS))


def difference(wanted: Sequence[Sequence[str]], stderr: str) -> str:
    """What the first thread did that did not go as the script has it; nothing where all did.

    The kernel's number of a thread says nothing of its node, so that each is looked for by its frames.
    """
    left = seen(stderr)
    missing = []
    for thread in wanted:
        if not thread:
            continue
        if tuple(thread) in left:
            left.remove(tuple(thread))
        else:
            missing.append(tuple(thread))
    if not missing:
        return f"a thread more visits {_shown(left[0])}" if left else ""
    [frames, *_] = missing
    nearest = max(left, key=lambda one: _common(one, frames), default=())
    common = _common(nearest, frames)
    after = f"after {_shown(nearest[:common])} " if common else ""
    instead = nearest[common] if common < len(nearest) else "nothing"
    should = frames[common] if common < len(frames) else "nothing"
    return f"a thread visits {after}{instead} instead of {should}"


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many frames both begin with."""
    number = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        number += 1
    return number


def _shown(frames: Sequence[str]) -> str:
    return " ".join(frames if len(frames) <= 8 else ["...", *frames[-8:]])
