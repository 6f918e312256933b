"""No legal call tree breaks Go, in any world: the fuzzer (``--golib-fuzz N``, ``--golib-fuzz-seed S``)."""

from __future__ import annotations


def test_no_legal_case_breaks_it(fuzz, shard):
    fuzz(shard)
