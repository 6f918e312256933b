"""python -m tools curve: does guided drawing show more than drawing alone?

The same seed draws so many cases both ways, and a line for each thousand says how many pairs of steps and
states they show (golib.case.novelty), in as many cases and in as many nodes.  No Go runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from golib import fuzz
from golib.case import novelty
from tools import base

STEP = 1000
"""Cases of a line."""


def main(argv: Sequence[str]) -> int:
    """Exit status 1 where guided drawing shows no more in as many nodes, 2 where an option makes no sense."""
    parser = base.Parser("curve", __doc__)
    whole = f"drawn both ways ({3 * STEP})"
    parser.add_argument("--cases", type=int, default=3 * STEP, metavar="N", help=whole)
    parser.add_argument("--seed", default="0", metavar="S", help="from which they are drawn (0)")
    given = parser.parse_args(argv)
    if given.cases < STEP:
        parser.error(f"--cases {given.cases}: it is a number from {STEP}")
    alone, guided = (list(curve(given.cases, given.seed, guided=how)) for how in (False, True))
    print("cases   alone  a node   guided  a node")
    for (cases, pairs, nodes), (_, more, larger) in zip(alone, guided, strict=True):
        print(f"{cases:5,} {pairs:7,} {pairs / nodes:7.3f} {more:8,} {more / larger:7.3f}")
    (_, pairs, _), (_, more, larger) = alone[-1], guided[-1]
    print(f"in as many cases guided drawing shows {more / pairs - 1:+.0%}")
    fewer = in_as_many_nodes(given.cases, given.seed, larger)
    print(f"in as many nodes guided drawing shows {more / fewer - 1:+.0%}")
    return 0 if more > fewer else 1


def curve(count: int, seed: str, *, guided: bool) -> Iterator[tuple[int, int, int]]:
    """After each STEP cases: how many, the pairs that they show, and their nodes."""
    shown: set[novelty.Pair] = set()
    nodes = 0
    for number, case in enumerate(fuzz.generate(count, seed, guided=guided), 1):
        shown |= novelty.pairs(case)
        nodes += case.size()
        if number % STEP == 0:
            yield number, len(shown), nodes


def in_as_many_nodes(count: int, seed: str, nodes: int) -> int:
    """The pairs that as many nodes show where each case is drawn alone."""
    shown: set[novelty.Pair] = set()
    # Twice as many have as many nodes in any case: OF do not make a case twice as large.
    for case in fuzz.generate(2 * count, seed, guided=False):
        shown |= novelty.pairs(case)
        nodes -= case.size()
        if nodes <= 0:
            break
    return len(shown)
