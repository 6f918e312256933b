"""The options of the pytest plugin: their names, and what each value must be.

Every pytest run of an environment that has golib installed loads this module, so it imports pytest and
nothing else of weight.  What only the rest of golib can judge (whether a Go can be had, whether a case is
legal) is judged by ``golib.session``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

FUZZ = 40
"""Cases a shard in an everyday run: all shards take some five seconds on two cores."""
SHARDS = 16
"""Parameters of a fuzz test, so that workers share the work."""
EXHAUSTIVE = 2
"""Nodes of the cases that run all in an everyday run."""
MOST_EXHAUSTIVE = 4
"""Of five nodes there are some 25 million cases."""

BUILD_FLAGS = ("-race", "-asan")
"""Those of `go build` that change what is judged and that golib knows how to run."""

RENAMED = {
    "--fuzz": "--golib-fuzz",
    "--fuzz-seed": "--golib-fuzz-seed",
    "--depths": "--golib-depths",
    "--failures": "--golib-failures",
    "--replay": "--golib-replay",
    "--case-timeout": "--golib-timeout",
    "--no-known-issues": "--golib-no-known-issues",
}
"""What options were called once.  Other plugins use some of these names, so golib registers none of them."""

DIES_WITH_PARENT = "GOLIB_DIES_WITH_PARENT"
"""Set in the environment of a pytest below golib validate: its workers end when it does, whatever they do."""

_PATH_OPTIONS = ("--go", "--go-overlay", "--golib-json", "--golib-html", "--golib-failures", "--golib-replay")


@dataclass(frozen=True)
class Options:
    """What the command line says to golib."""

    go: tuple[str, ...]
    overlay: str | None
    flags: tuple[str, ...]
    """Of BUILD_FLAGS, each once."""
    timeout: float | None
    """Seconds; None where nothing was said."""
    fuzz: int
    seed: str
    exhaustive: int
    """Every case of up to so many nodes runs."""
    hunt: float
    """Seconds for cases about time."""
    shard: tuple[int, int] | None
    """Which part of golib's tests this run is, from 1, and of how many; None where it is no part."""
    depths: int
    failures: Path
    replay: tuple[str, ...]
    known_issues: bool
    """Whether a known issue is no failure."""
    json: str | None
    html: str | None
    required: bool
    """The ini file says that the suite is of no use without a Go."""
    config_file: str | None
    """What ``pytest -c`` named."""
    session: str
    """An id that all processes of this pytest run share."""

    @property
    def asked(self) -> bool:
        """Whether golib has work to do before a test that uses it was collected."""
        return bool(
            self.go or self.overlay or self.flags or self.replay or self.json or self.html or self.required
        )

    def handed(self) -> dict[str, Any]:
        """What a worker of xdist cannot know from the command line; see ``taking``."""
        return {"session": self.session, "seed": self.seed}

    def taking(self, handed: dict[str, Any]) -> Options:
        """The worker's options, with what its controller has handed to it."""
        return replace(self, session=handed["session"], seed=handed["seed"])


OPTIONS = pytest.StashKey[Options]()
HOSTS = pytest.StashKey[bool]()
"""This process is a server of scenarios, or a child of one."""
EVERYWHERE = "golib_everywhere"
"""The mark that golib.everywhere sets."""
HANDED = pytest.StashKey[dict[str, Any]]()
"""What the run that a process works for has handed to it: in a worker of xdist, in a server of scenarios."""


def add(parser: pytest.Parser) -> None:
    group = parser.getgroup("golib", "a Go toolchain, judged (golib)")
    group.addoption(
        "--go",
        action="append",
        default=[],
        metavar="SPEC",
        help="the Go to judge, repeatable: 1.23.4, 1.23 (its newest), 1.23.x (all), latest, a GOROOT "
        "or a go binary; without this option, the go on PATH",
    )
    group.addoption(
        "--go-overlay",
        metavar="FILE",
        help="Go's own overlay JSON for the build; a key may begin with $GOROOT",
    )
    group.addoption(
        "--go-build",
        action="append",
        default=[],
        metavar="FLAG",
        help="a flag of go build that changes what is judged, written --go-build=-race or --go-build=-asan; "
        "repeatable",
    )
    group.addoption(
        "--golib-timeout",
        metavar="SECONDS",
        help="how long a case may take before it is a hang (default: 20)",
    )
    group.addoption(
        "--golib-no-known-issues", action="store_true", help="report known issues of Go as failures"
    )
    group.addoption("--golib-json", metavar="FILE", help="write the results there")
    group.addoption("--golib-html", metavar="FILE", help="write one self-contained page of the results there")
    group.addoption(
        "--golib-fuzz",
        metavar="N",
        help=f"cases that each shard of the fuzzer draws (default: {FUZZ}; 0: none)",
    )
    group.addoption(
        "--golib-fuzz-seed",
        metavar="S",
        default="0",
        help="what cases and random depths are drawn from (default: 0; random: a new one, printed)",
    )
    group.addoption(
        "--golib-exhaustive",
        metavar="N",
        help=f"run every legal case of up to N nodes, from 0 to {MOST_EXHAUSTIVE} (default: {EXHAUSTIVE}); an"
        " interrupted run goes on where it was",
    )
    group.addoption(
        "--golib-hunt",
        metavar="SECONDS",
        help="run cases about time for so many seconds on each Go, which all workers share: threads that"
        " meet, delays that are swept (default: 0)",
    )
    group.addoption(
        "--golib-shard",
        metavar="K/N",
        help="run the K-th of N parts of golib's tests; golib merge puts their --golib-json files together",
    )
    group.addoption(
        "--golib-depths", metavar="N", help="random stack depths, added to every test that takes a depth"
    )
    group.addoption(
        "--golib-failures",
        metavar="DIR",
        help="where the fuzzer keeps each distinct failure, and looks again (default: in pytest's cache)",
    )
    group.addoption(
        "--golib-replay",
        action="append",
        default=[],
        metavar="CASE",
        help="run only this case: a failure's file, or a pasted expression; repeatable",
    )
    parser.addini(
        "golib_required", "this suite is of no use without a Go: complain at once", type="bool", default=False
    )


def read(config: pytest.Config) -> Options:
    """Raises pytest.UsageError, one sentence, for a value that makes no sense."""
    given = config.getoption
    seed = str(given("golib_fuzz_seed"))
    failures = given("golib_failures")
    return Options(
        go=tuple(given("go")),
        overlay=given("go_overlay"),
        flags=_flags(given("go_build")),
        timeout=_seconds("--golib-timeout", given("golib_timeout")),
        fuzz=_count("--golib-fuzz", given("golib_fuzz"), FUZZ),
        # os.urandom: the secrets module would be loaded in every run.
        seed=os.urandom(4).hex() if seed == "random" else seed,
        exhaustive=_exhaustive(given("golib_exhaustive")),
        shard=_shard(given("golib_shard")),
        hunt=_seconds("--golib-hunt", given("golib_hunt"), least=0) or 0.0,
        depths=_count("--golib-depths", given("golib_depths"), 0),
        failures=Path(failures).absolute()
        if failures
        else config.rootpath / ".pytest_cache" / "golib-failures",
        replay=tuple(given("golib_replay")),
        known_issues=not given("golib_no_known_issues"),
        json=given("golib_json"),
        html=given("golib_html"),
        required=config.getini("golib_required"),
        config_file=given("inifilename"),
        session=os.urandom(16).hex(),
    )


MOST_SECONDS = 1_000_000
MOST_COUNT = 999_999_999
MOST_SHARDS = 10_000


def _seconds(option: str, text: str | None, least: float | None = None) -> float | None:
    """``least=None``: anything above 0."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    above = seconds > 0 if least is None else seconds >= least
    if not (above and seconds <= MOST_SECONDS):
        rule = "above 0 and up to" if least is None else f"from {least:g} to"
        raise pytest.UsageError(f"{option} {text}: it is a number of seconds {rule} {MOST_SECONDS:,}")
    return seconds


def _count(option: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or len(text) > len(str(MOST_COUNT)):
        raise pytest.UsageError(f"{option} {text}: it is a number from 0 to {MOST_COUNT:,}")
    return int(text)


def _exhaustive(text: str | None) -> int:
    nodes = _count("--golib-exhaustive", text, EXHAUSTIVE)
    if nodes > MOST_EXHAUSTIVE:
        raise pytest.UsageError(
            f"--golib-exhaustive {nodes}: it is a number from 0 to {MOST_EXHAUSTIVE}; of five nodes there are"
            " some 25 million cases, which --golib-fuzz draws from"
        )
    return nodes


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    number, _, count = text.partition("/")
    short = len(text) < 20
    if not (
        short and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) <= MOST_SHARDS
    ):
        raise pytest.UsageError(
            f"--golib-shard {text}: it is K/N, the K-th of N parts, such as 1/4, of at most {MOST_SHARDS:,}"
        )
    return int(number), int(count)


def _flags(given: Sequence[str]) -> tuple[str, ...]:
    for flag in given:
        if flag not in BUILD_FLAGS:
            known = " and ".join(f"--go-build={one}" for one in BUILD_FLAGS)
            raise pytest.UsageError(f"--go-build={flag}: golib cannot judge such a build; it knows {known}")
    flags = tuple(dict.fromkeys(given))
    if len(flags) > 1:
        both = " ".join(f"--go-build={one}" for one in flags)
        raise pytest.UsageError(f"{both}: the go command takes one of them at a time; name one")
    return flags


def joined(arguments: Sequence[str]) -> list[str]:
    """The arguments, with each of our options and a path behind it made one."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in _PATH_OPTIONS and Path(argument).exists():
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def renamed(parser: pytest.Parser, arguments: Sequence[str]) -> str:
    """What pytest is about to complain of, with the new name, where that is an option that golib had once;
    else nothing.  Asked when all plugins have added their options: the name may be another's."""
    if not any(argument.partition("=")[0] in RENAMED for argument in arguments):
        return ""
    _, unknown = parser.parse_known_and_unknown_args(arguments)
    for argument in unknown:
        name = argument.partition("=")[0]
        if name in RENAMED:
            return f"unrecognized arguments: {argument}; golib's option of this name is now {RENAMED[name]}"
    return ""
