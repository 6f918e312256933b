"""Callbacks at the edges of the bounds that are in force, one slot inside, on the edge, outside.

How many bytes of stack lie between the frame of a case and the SP of the callback below it depends on the
release and the C compiler.  So a case is drawn with a C frame of some size, and run; then the frame is made
as large as its trace says, so that the callback stands where it was to stand.
"""

from __future__ import annotations

from dataclasses import dataclass

from golib.case import calltree, legality
from golib.case.calltree import GC, KIB, C, Case, Go, Node, Python, Setrlimit, Stack, Thread
from golib.case.grammar import Choose
from golib.case.script import Phase
from golib.judge.outcome import Outcome

SLOT = 16
"""Bytes: a frame is aligned to so many."""
WHERE = ("known lo", "known guard0", "known hi")
"""What the callback's SP is to be near: a bound that was in force before it; in SCENES also one of the answer
that it gets."""
OFFSETS = (0, 0, 0, SLOT, -SLOT, 4096, -4096)
"""Bytes from there; above zero is above."""
LOW, HIGH = 256 * KIB, 8192 * KIB

BEFORE: tuple[tuple[Node, ...], ...] = (
    (),
    (Go(),),
    (C(Go(), stack=16 * KIB),),
    (Stack(Go(), region=-1),),
    (Thread(Go()),),
)
"""What the main thread has done before."""

SCENES: tuple[tuple[tuple[Node, ...], tuple[str, ...]], ...] = (
    # The main thread learns its bounds under a low limit and then goes deeper than they reach.
    ((Setrlimit(stack=LOW), Go(), Setrlimit(stack=HIGH)), ("known lo",)),
    ((Setrlimit(stack=1024 * KIB), Go(), Setrlimit(stack=HIGH)), ("known lo", "known lo", "known guard0")),
    # The limit, and so the answer, is lowered when the stack is there.
    ((C(stack=600 * KIB), Setrlimit(stack=LOW)), ("answer lo",)),
)
"""What a main thread has done that comes to the lower end of its bounds, and which one that is."""


@dataclass(frozen=True)
class Edge:
    """A case whose C frame ``number`` is to be made so large that the callback in it stands ``offset`` bytes
    from ``where``."""

    case: Case
    number: int
    where: str
    offset: int

    def fitted(self, outcome: Outcome) -> Case | None:
        """The case as it is to be run, by the outcome of ``case``; None where there is no such edge, or no
        frame of that size."""
        callback = self.number + 1
        events = [one for one in outcome.events if one.node == callback]
        before = next((one for one in events if one.phase is Phase.BEFORE), None)
        entered = next((one for one in events if one.phase is Phase.ENTERED and one.in_go), None)
        if before is None or entered is None:
            return None
        kind, _, bound = self.where.partition(" ")
        edge = before.values.get(bound, 0)
        if kind == "answer":
            edge = entered.told[bound == "hi"]
        if not edge:
            return None
        node = next(placed.node for placed in self.case.walk() if placed.number == self.number)
        assert isinstance(node, C)
        size = node.stack + entered.values["sched_sp"] - edge - self.offset
        if not 0 <= size <= calltree.MOST_BYTES:
            return None
        made = self.case.having(*(_replaced(tree, node, size) for tree in self.case.trees))
        try:
            legality.check(made)
        except calltree.IllegalCase:
            return None
        return made


def _replaced(tree: Node, frame: C, size: int) -> Node:
    if tree is frame:
        return C(*frame.body, stack=size)
    if not any(child is frame or child.body for child in tree.body):
        return tree
    values = tree.properties()
    return type(tree)(*(_replaced(child, frame, size) for child in tree.body), **values)


def draw(choose: Choose) -> Edge:
    """The edge that these choices make; its case may be illegal."""
    # No panic: what one leaves behind (golib-1) lies at no edge.
    inner = Go(*choose(((), (GC(),), (GC(),), (Go(),))))
    depth = choose((200 * KIB, 64 * KIB))
    frame = C(inner, stack=depth)
    here = (frame, frame, frame, Go(frame, C(Go())), Python(frame))
    elsewhere = (
        Thread(frame, kind="native", stack=1024 * KIB),
        Thread(Go(frame), kind="memory", stack=1024 * KIB),
        Stack(frame, region=1),
        Stack(Go(frame), region=1),
    )
    if choose((True, False)):
        before, ends = choose(SCENES)
        tree = choose(here)
        bounds: tuple[calltree.Bounds, ...] = ("real",)
    else:
        before, ends = choose(BEFORE), WHERE
        tree = choose((*here, *elsewhere))
        bounds = ("real", "hidden", "hidden", "absent", "absent")
    case = Case(*before, tree, *choose(((), (Go(),))), bounds=choose(bounds))
    number = next(placed.number for placed in case.walk() if placed.node is frame)
    return Edge(case, number, choose(ends), choose(OFFSETS))


IN_VAIN = 20_000
"""Draws in a row that give nothing new, after which there is taken to be nothing: some 19,600 edges exist."""


def generate(count: int, choose: Choose) -> list[Edge]:
    """So many edges of legal cases, no two of them equal; fewer where there are no more."""
    drawn: dict[Edge, None] = {}
    in_vain = 0
    while len(drawn) < count and in_vain < IN_VAIN:
        edge = draw(choose)
        in_vain += 1
        try:
            legality.check(edge.case)
        except calltree.IllegalCase:
            continue
        if edge.where == "answer lo" and edge.offset == SLOT:
            continue  # golib-19 at a first callback, which leaves nothing to tell it by
        if edge not in drawn:
            drawn[edge] = None
            in_vain = 0
    return list(drawn)
