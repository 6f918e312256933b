"""Faults that show in some runs only: threads that meet, delays that are swept, few processors, idle threads
(``--golib-hunt SECONDS``)."""

from __future__ import annotations


def test_no_schedule_breaks_it(fuzz, part):
    fuzz.hunt(part)
