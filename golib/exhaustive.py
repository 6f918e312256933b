"""Every case of up to so many nodes, in blocks; which of these have run is kept until all have.

``tests/runtime/test_exhaustive.py`` is the glue.  What is run and what is left out says ``golib.case.every``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from golib import fuzz
from golib.case import calltree, every, legality
from golib.case.calltree import Case, Node
from golib.show.report import write_atomically

SMALL = 3
"""Nodes of a case that is always its child's first where only the first one meets what it is about.  Of four
nodes there are 130,000 such cases, of which each eighth is the first of a row."""


@dataclass(frozen=True)
class Plan:
    """What is run, in its order: those that share a world one after the other, small ones first."""

    trees: Sequence[tuple[tuple[Node, ...], Mapping[str, Any]]]
    """The trees of each case and its world.  A size in it may be illegal."""
    left_out: Mapping[str, int]
    """How many cases, by the reason: ``golib.case.every.REASONS``."""

    def block(self, number: int, blocks: int) -> list[Case]:
        """The legal cases of one of so many blocks."""
        first, end = (len(self.trees) * one // blocks for one in (number, number + 1))
        return list(_legal(Case(*trees, **world) for trees, world in self.trees[first:end]))


def _legal(cases: Iterator[Case]) -> Iterator[Case]:
    for case in cases:
        try:
            legality.check(case)
        except calltree.IllegalCase:
            continue
        yield case


@cache
def plan(nodes: int) -> Plan:
    """Every case of up to so many nodes, in which a single switch of the world counts as one: in each of the
    modes of the bounds, and with one node less and real bounds, with each switch."""
    worlds: list[tuple[dict[str, Any], int]] = [({"bounds": bounds}, nodes) for bounds in fuzz.BOUNDS]
    worlds += [(world, nodes - 1) for world in every.worlds()]
    planned: list[tuple[tuple[Node, ...], Mapping[str, Any]]] = []
    left_out: Counter[str] = Counter()
    for world, most in worlds:
        place = every.top(world)
        for size in range(1, most + 1):
            found = every.trees(size, place)
            left_out.update(found.left_out)
            planned += [(trees, world) for trees in found.kept if every.may_be(trees, world)]
    return Plan(planned, {reason: left_out[reason] for reason in every.REASONS})


def blocks(nodes: int) -> int:
    """Into how many blocks the cases of up to so many nodes are parted: of four nodes some thousands each."""
    return 128 if nodes > 3 else 16


class Kept:
    """The blocks that have run and showed nothing new, as files: an interrupted run goes on with the others.

    One JSON file a block: ``{"print", "ran", "known"}``.  ``print`` is made of all that decides the result.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, number: int, fingerprint: str) -> dict[str, Any] | None:
        """What that block came to, if it has run."""
        try:
            data = json.loads(self._path(number).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        right = isinstance(data, dict) and data.get("print") == fingerprint
        return data if right else None

    def write(self, number: int, fingerprint: str, search: fuzz.Search) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        data = {"print": fingerprint, "ran": search.ran, "known": dict(search.known)}
        write_atomically(self._path(number), json.dumps(data) + "\n")

    def forget(self) -> None:
        """All have run: the next run begins anew."""
        for path in self.folder.glob("block-*.json"):
            path.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"block-{number}.json"


def fingerprint(library: Path, cases: Sequence[Case], known_issues: bool, timeout: float) -> str:
    """Of what decides the result of these cases: the library, golib itself, the cases, and how they are
    judged (``timeout``: seconds)."""
    facts = [_content(library), _own(), fuzz.digest(cases), known_issues, timeout]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


@cache
def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _own() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.suffix in (".py", ".toml", ".json", ".c", ".h"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def sentence(nodes: int, toolchain: str, parts: Mapping[int, Mapping[str, Any]], failed: int) -> list[str]:
    """What can be quoted, and what it leaves out.  ``parts``: what each block came to that has run."""
    total, some = blocks(nodes), next(iter(parts.values()))
    ran = sum(part["ran"] for part in parts.values())
    seen = sorted({issue for part in parts.values() for issue in part["known"]})
    if len(parts) < total:
        return [
            f"{len(parts)} of {total} parts of every legal case of up to {nodes} nodes ({ran:,} cases) ran on"
            f" {toolchain}; the others are still to be run"
        ]
    last = ["what failed above"] if failed else []
    found = [*seen, *last]
    if not found:
        what = "no fault"
    elif failed:
        what = " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
    else:
        what = f"{', '.join(found)} and nothing else"
    lines = [
        f"every legal case of up to {nodes} nodes ({ran:,} cases) ran on {toolchain}: {what}",
        f"left out, where a simpler one says the same: {_counted(some['left_out'])}",
    ]
    refused: Counter[str] = Counter()
    for part in parts.values():
        refused.update(part["refused"])
    return [*lines, f"not run, as {toolchain} cannot: {_counted(refused)}"] if refused else lines


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)


def progress(
    nodes: int, toolchain: str, parts: Mapping[int, Mapping[str, Any]], seconds: float, anew: int
) -> str:
    """How far it has come.  ``anew``: of the parts, how many ran in these seconds."""
    total, some = blocks(nodes), next(iter(parts.values()))
    ran = sum(part["ran"] for part in parts.values())
    left = seconds * (total - len(parts)) / max(1, anew)
    time = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
    return f"{toolchain}: {ran:,} of at most {some['of']:,} cases of up to {nodes} nodes, about {time} left"
