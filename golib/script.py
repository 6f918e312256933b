"""What a case's threads do, step by step, as a correct runtime would run it.

The one owner of what a panic or a Goexit leaves undone: legality asks it, and the model holds the trace
against it.

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

from enum import Enum

from golib.calltree import Export, Go, Goexit, Node, Panic, Thread, Together


class End(Enum):
    """How a frame is left, other than by returning."""

    PANIC = "panic"
    EXIT = "Goexit"


def end(node: Node) -> End | None:
    """How running this node ends for the frame above it."""
    if isinstance(node, Panic):
        return End.PANIC
    if isinstance(node, Goexit):
        return End.EXIT
    if isinstance(node, Thread | Together):
        return None  # a thread keeps its own
    if isinstance(node, Export) and not node.body:
        return End.PANIC if node.name == "GoF" and node.p else None
    inside = body_end(node.body)
    if isinstance(node, Go):
        return body_end(node.deferred) or (None if inside is End.PANIC and node.recover else inside)
    if isinstance(node, Export) and node.p and inside is End.PANIC:
        return None
    return inside


def body_end(body: tuple[Node, ...]) -> End | None:
    """How a body ends: as the first of it that does not return; what stands behind that never runs."""
    return next((ended for child in body if (ended := end(child))), None)
