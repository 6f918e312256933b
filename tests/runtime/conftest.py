"""This suite's short names for golib's fixtures, and its own parameters: depths, bounds, threads, shards.

It travels with the suite.  Suites elsewhere name their parameters as they like.
"""

from __future__ import annotations

import random

import pytest

from golib.case.calltree import KIB, Node, Thread
from golib.options import OPTIONS
from golib.session import Bridge, Check, Fuzz
from golib.toolchains.toolchain import Toolchain

DEPTHS = (
    0,
    512,
    # The estimate claims 1 KiB above SP and 32 KiB below.
    1 * KIB,
    16 * KIB,
    31 * KIB,
    32 * KIB,
    33 * KIB,
    # The seed's 10,000 ints.
    40_000,
    64 * KIB,
    1024 * KIB,
)
"""Bytes that a C frame holds."""

BOUNDS = ("real", "hidden", "absent")

THREADS = ("main", "native", "memory", "python")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "slow: runs a case again and again, for what shows in some runs only; a third of this suite's time",
    )


@pytest.fixture(scope="session")
def toolchain(golib_toolchain: Toolchain) -> Toolchain:
    return golib_toolchain


@pytest.fixture(scope="session")
def bridge(golib_bridge: Bridge) -> Bridge:
    return golib_bridge


@pytest.fixture
def check(golib_check: Check) -> Check:
    return golib_check


@pytest.fixture
def fuzz(_golib_fuzz: Fuzz) -> Fuzz:
    return _golib_fuzz


@pytest.fixture
def part(_golib_slice: int) -> int:
    return _golib_slice


@pytest.fixture
def block(_golib_block: int) -> int:
    return _golib_block


@pytest.fixture
def shard(_golib_shard: int) -> int:
    return _golib_shard


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    own = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    for name, values in (("depth", DEPTHS), ("bounds", BOUNDS), ("thread", THREADS)):
        if name in metafunc.fixturenames and name not in own:
            prefix = "depth=" if name == "depth" else ""
            chosen = (*values, *random_depths(metafunc.config)) if name == "depth" else values
            metafunc.parametrize(name, chosen, ids=[f"{prefix}{value}" for value in chosen])


def random_depths(config: pytest.Config) -> list[int]:
    """What --golib-depths adds: 16-byte steps up to 1 MiB, drawn from the fuzzer's seed."""
    options = config.stash[OPTIONS]
    draw = random.Random(f"depths {options.seed}")
    return sorted({16 * draw.randrange(64 * KIB) for _ in range(options.depths)} - set(DEPTHS))


class On:
    """Places nodes on a kind of thread: ``on("python", Go())``."""

    def __call__(self, thread: str, *nodes: Node, stack: int = 0) -> tuple[Node, ...]:
        if thread == "main":
            return nodes
        return (Thread(*nodes, kind=thread, stack=stack),)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def on() -> On:
    """``on(thread, *nodes)``: the nodes as they are for ``"main"``, else below a Thread of that kind."""
    return On()
