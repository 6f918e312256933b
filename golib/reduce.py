"""The smallest case that still does it.

Greedy: of the cases that are one step smaller, the first that a predicate accepts is taken, until none
is.  It works on any case, from whatever source, and for faults that show at a rate below one, which a
shrinker that wants the same answer twice would call flaky.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from golib.case import calltree, legality
from golib.case.calltree import Case, Node

TRIES = 600
"""Candidates that are tried at the most: a case of 24 nodes takes about 150."""


def reduce(case: Case, still: Callable[[Case], object], tries: int = TRIES) -> Case:
    """The smallest case found for which ``still`` is true; it is for ``case`` itself."""
    seen = {case}
    smaller = True
    while smaller and tries > 0:
        smaller = False
        for candidate in candidates(case):
            if candidate in seen or tries <= 0:
                continue
            seen.add(candidate)
            try:
                legality.check(candidate)
            except calltree.IllegalCase:
                continue
            tries -= 1
            if still(candidate):
                case, smaller = candidate, True
                break
    return case


def candidates(case: Case) -> Iterator[Case]:
    """Cases one step smaller or simpler, the boldest steps first; not all of them legal."""
    trees = case.trees
    for index in range(len(trees)):
        if len(trees) > 1:
            yield case.having(trees[index])
    for index in range(len(trees)):
        if len(trees) > 1:
            yield case.having(*trees[:index], *trees[index + 1 :])
    for field in dataclasses.fields(case):
        if field.name != "trees" and getattr(case, field.name) != field.default:
            yield case.having(*trees, **{field.name: field.default})
    if len(case.on) > 1:
        for switch in case.on:
            yield case.having(*trees, on=tuple(other for other in case.on if other != switch))
    if case.bounds == "absent":
        yield case.having(*trees, bounds="hidden")
    for index, tree in enumerate(trees):
        for instead in _instead(tree):
            yield case.having(*trees[:index], *instead, *trees[index + 1 :])


def _instead(node: Node) -> Iterator[tuple[Node, ...]]:
    """What may stand in a node's place: what was in it, less of it, or the same made simpler."""
    children = node.children()
    if children:
        yield children
        for child in children:
            yield (child,)
    for index in range(len(node.body)):
        yield (node.but(body=node.body[:index] + node.body[index + 1 :]),)
    for simpler in _simpler(node):
        yield (simpler,)
    for name in ("body", "deferred"):
        nodes: tuple[Node, ...] = getattr(node, name, ())
        for index, child in enumerate(nodes):
            for instead in _instead(child):
                yield (node.but(**{name: nodes[:index] + instead + nodes[index + 1 :]}),)


def _simpler(node: Node) -> Iterator[Node]:
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if field.name == "body" or value == field.default:
            continue
        yield node.but(**{field.name: field.default})
        if field.name == "deferred":
            for index in range(len(value)):
                yield node.but(deferred=value[:index] + value[index + 1 :])
    if isinstance(node, calltree.Stack) and node.region < -1:
        yield node.but(region=-1)
