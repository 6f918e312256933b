"""No legal call tree of a few nodes breaks Go, in any mode of the bounds and with any single switch of the
world: all of them are run (``--golib-exhaustive N``)."""

from __future__ import annotations


def test_no_small_case_breaks_it(fuzz, block):
    fuzz.block(block)
