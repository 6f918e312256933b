"""The pytest plugin: the hooks by which golib comes into a run, and the fixtures.

Every pytest run of an environment that has golib installed loads this module.  It loads the rest of golib
(``golib.session``) when a collected test uses a fixture of golib's, or an option asks for it; in other
runs golib imports, runs and prints nothing.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from golib.options import DIES_WITH_PARENT, EVERYWHERE, HANDED, HOSTS, OPTIONS, add, joined, read, renamed

if TYPE_CHECKING:
    from golib.session import Bridge, Check, Fuzz, Session
    from golib.toolchains.toolchain import Toolchain

SESSION = pytest.StashKey["Session"]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    """Starts pytest again as ``--go=PATH`` where it was started as ``--go PATH``, and names an option's new
    name where the old one was given.

    pytest looks for the suite's ini file before it has loaded a plugin, and takes a path behind an
    option that it does not know for that of a test: the suite would lose its settings to a GOROOT.
    """
    given = list(early_config.invocation_params.args)
    better = joined(given)
    if better != given and list(map(str, given)) == sys.argv[1:]:
        before = sys.orig_argv[1 : len(sys.orig_argv) - len(given)]
        if capture := early_config.pluginmanager.get_plugin("capturemanager"):
            capture.stop_global_capturing()  # it has our stdout and stderr by now
        os.execv(sys.executable, [sys.executable, *before, *better])
    yield
    if complaint := renamed(parser, args):
        raise pytest.UsageError(complaint)


def pytest_addoption(parser: pytest.Parser) -> None:
    add(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{EVERYWHERE}(library, places): the test runs in places on the stacks: golib.everywhere"
    )
    options = read(config)
    if worker := getattr(config, "workerinput", None):
        config.stash[HANDED] = worker["golib"]
        if os.environ.get(DIES_WITH_PARENT):
            from golib.run.process import die_with_parent

            die_with_parent()
    handed = config.stash.get(HANDED, None)
    if handed:
        options = options.taking(handed)
    config.stash[OPTIONS] = options
    if options.asked or config.stash.get(HOSTS, False):  # a server's children shall find it loaded
        session_of(config)
    elif not handed:
        config.pluginmanager.register(_Waiting(config), "golib-waiting")


def session_of(config: pytest.Config) -> Session:
    """What golib does in this run.  The first call loads golib, finds the toolchains, and takes part in the
    run from then on.  Raises pytest.UsageError, one sentence, for an option that cannot be followed."""
    if SESSION not in config.stash:
        from golib.session import Session

        session = config.stash[SESSION] = Session(config)
        config.pluginmanager.register(session, "golib-session")
    return config.stash[SESSION]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    config = node.config
    toolchains = config.stash[SESSION].handed() if SESSION in config.stash else {}
    node.workerinput["golib"] = config.stash[OPTIONS].handed() | toolchains


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if mark := metafunc.definition.get_closest_marker(EVERYWHERE):
        session_of(metafunc.config).parametrize_everywhere(metafunc, mark)
    elif "golib_toolchain" in metafunc.fixturenames:
        session_of(metafunc.config).parametrize(metafunc)


# A controller of xdist collects nothing itself: it learns from its workers that a test uses golib.

_NAMES_A_GO = re.compile(r"\[(go\d|devel|no-go)")
"""The id of a test on the Go on PATH (``Toolchain.name``).  An id of somebody else's that looks like one
costs the loading of golib; an id that does not look like one costs the line that says what is built."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Builds, in the controller, what the workers will need; they find it in the cache."""
    config = node.config
    if SESSION in config.stash or any(map(_NAMES_A_GO.search, ids)):
        session_of(config).workers_collected(ids)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Ends the run with what a worker complained of, see ``Session._prepare_worker``."""
    if complaint := getattr(node, "workeroutput", {}).get("golib"):
        raise pytest.UsageError(complaint)


class _Waiting:
    """Takes part in a run once there is a result of golib's."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "golib") and SESSION not in self._config.stash:
            # Registered in the midst of this call, its own hook is asked from the next report on.
            session_of(self._config).reported(report)


# Fixtures.


@pytest.fixture(scope="session")
def golib_toolchain(request: pytest.FixtureRequest) -> Toolchain:
    """The Go that is judged."""
    chosen: Toolchain | str | None = getattr(request, "param", None)
    if chosen is None:
        pytest.fail(
            "golib's fixtures take part in parametrization, which getfixturevalue comes too late for; "
            "name golib_check among the arguments of the test or of a fixture",
            pytrace=False,
        )
    if isinstance(chosen, str):
        pytest.fail(chosen, pytrace=False)
    return chosen


@pytest.fixture(scope="session")
def golib_bridge(golib_toolchain: Toolchain, pytestconfig: pytest.Config) -> Bridge:
    """The bridge, built by the Go that is judged: ``golib_bridge.run(case)`` gives an outcome."""
    return session_of(pytestconfig).bridge(golib_toolchain)


@pytest.fixture
def golib_check(golib_bridge: Bridge, request: pytest.FixtureRequest) -> Check:
    """``golib_check(Go(C(Go(), stack=40000)))`` runs a case and judges it."""
    return session_of(request.config).check(golib_bridge, request.node)


@pytest.fixture
def _golib_fuzz(golib_bridge: Bridge, request: pytest.FixtureRequest) -> Fuzz:
    """``_golib_fuzz(shard)`` draws cases, runs them, and reduces what fails; ``_golib_fuzz.block(number)``
    does so with a block of all small cases, ``_golib_fuzz.hunt(number)`` with cases about time: for golib's
    own suite."""
    return session_of(request.config).fuzz(golib_bridge, request.node)


@pytest.fixture
def _golib_slice(request: pytest.FixtureRequest) -> int:
    """The part of a hunt that a test is."""
    part: int = request.param
    return part


@pytest.fixture
def _golib_block(request: pytest.FixtureRequest) -> int:
    """The block of the small cases that a test runs."""
    block: int = request.param
    return block


@pytest.fixture
def _golib_shard(request: pytest.FixtureRequest) -> int:
    """The shard of the fuzzer's work that a test does."""
    shard: int = request.param
    return shard
