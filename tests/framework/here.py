"""Scenarios that say where they run: one raises where that is not what its name says."""

from __future__ import annotations

import os


def is_idle() -> None:
    assert os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_IDLE


def is_as_usual() -> None:
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def has_one_processor() -> None:
    assert len(os.sched_getaffinity(0)) == 1
