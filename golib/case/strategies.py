"""Hypothesis strategies: legal cases over every node, every kind of thread, and the world, for one's own
``@given``.

They read the grammar as the fuzzer does.  The fuzzer itself does without Hypothesis, whose bookkeeping takes
most of the time of a draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

try:
    from hypothesis import assume
    from hypothesis import strategies as st
    from hypothesis.strategies import DrawFn, SearchStrategy
except ImportError as error:
    raise ImportError(
        "golib.case.strategies is for Hypothesis, which is not installed; "
        "run `pip install 'pytest-golib[hypothesis]'`"
    ) from error

from golib.case import calltree, grammar, legality
from golib.case.calltree import Case


def cases(
    *, bounds: Sequence[calltree.Bounds] = ("real", "hidden", "absent"), worlds: bool = True
) -> SearchStrategy[Case]:
    """Legal cases.  ``worlds=False``: only the bounds vary."""
    return _cases(tuple(bounds), worlds)


@st.composite
def _cases(draw: DrawFn, bounds: tuple[calltree.Bounds, ...], worlds: bool) -> Case:
    case = grammar.case(lambda values: draw(_one_of(tuple(values))), bounds, worlds)
    try:
        legality.check(case)
    except calltree.IllegalCase:
        assume(False)
    return case


@cache
def _one_of(values: tuple[Any, ...]) -> SearchStrategy[Any]:
    return st.sampled_from(values)
