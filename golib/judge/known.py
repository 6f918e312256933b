"""Faults with an id: what each is, and which outcomes it explains.

``known_issues.toml`` is the list; which releases have an issue is measured and stands in ``history.json``,
and in the entry until all releases of the history are measured.  An outcome is known only where every part of
it, its end and each of its divergences, is explained by an issue that the release has and whose cause stands
in the case; what is left over is a failure.  Tests prove the list: inside an entry's ranges its proof shows
the fault and outside it does not (tests/runtime/test_known_issues.py), its controls and its proof without a
part of the cause do not show it (tests/runtime/test_found.py), and it hides nothing that it does not list
(tests/framework/test_known.py).
"""

from __future__ import annotations

import ast
import operator
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from golib.case import calltree, legality
from golib.case.calltree import NODES, Case, Export, Go, Node, Setrlimit, Thread, TurnOff, TurnOn
from golib.judge import history, ranges
from golib.judge.crossings import as_seen
from golib.judge.outcome import Kind, Outcome, Signature
from golib.toolchains.toolchain import version_key

FILE = Path(__file__).with_name("known_issues.toml")

EFFECTS = ("crash", "hang", "corruption", "slow", "silent")
"""What a fault does to users, the worst first: the process dies, hangs, goes on with wrong data, is slow, or
nothing that they can see yet."""


class KnownIssueError(ValueError):
    """The list does not say what it must: names the entry and the rule."""


# The cause: a pattern of nodes and world.

_OPERATORS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}
Test = tuple[str, Callable[[Any, Any], bool], Any]


@dataclass(frozen=True)
class Kindly:
    """One alternative of an element: a kind of node, and what its properties are."""

    kind: type[Node]
    tests: tuple[Test, ...]

    def fits(self, node: Node) -> bool:
        return isinstance(node, self.kind) and all(
            compare(getattr(node, name), value) for name, compare, value in self.tests
        )


@dataclass(frozen=True)
class Cause:
    """What a case must contain: a chain of nodes, each somewhere below the one before and on its thread (a
    Thread that stands in the chain begins another), in a world.

    In text: ``Go(recover == True) > Stack(region > 0) > Panic | Export(name == 'GoF', p == 1)``.
    """

    text: str
    chain: tuple[tuple[Kindly, ...], ...]
    first: bool = False
    """The last of the chain is the first callback of its thread."""
    beside: tuple[tuple[Kindly, ...], ...] = ()
    """Another chain that the case contains, anywhere."""
    apart: bool = False
    """The ends of both chains are not of one thread, or stand in callbacks that are not equally deep."""
    bounds: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    """All of these are on, from the beginning or turned on by the case, at some time from the chain's first
    node on until its tree has ended."""
    signals: bool = False
    """Some signal arrives all the time."""
    blocked: tuple[str, ...] = ()
    handlers: tuple[str, ...] = ()
    second: str = ""
    limit: str = ""
    """``set``: C sets the main thread's limit.  ``late``: it does so when Go has been called."""

    def found_in(self, case: Case) -> tuple[int, ...] | None:
        """The numbers of the nodes by which the case contains it, or None."""
        world = (
            (not self.bounds or case.bounds in self.bounds)
            and (bool(case.signals) or not self.signals)
            and (not self.blocked or case.blocked in self.blocked)
            and (not self.handlers or case.handlers in self.handlers)
            and (not self.second or case.second == self.second)
            and (not self.limit or _sets_the_limit(case, late=self.limit == "late"))
        )
        if not world:
            return None
        besides = list(_chains(Cause("", self.beside), case))
        for chain in _chains(self, case):
            if all(_is_on(switch, case, chain) for switch in self.on):
                for beside in besides:
                    if not self.apart or _depth(case, chain[-1]) != _depth(case, beside[-1]):
                        return (*chain, *beside)
        return None


def _is_on(switch: str, case: Case, chain: tuple[int, ...]) -> bool:
    """Whether it is on at some time from the first of these nodes on until its tree has ended."""
    first = chain[0] if chain else 0
    on, tree = switch in case.on, ""
    for one in case.walk():
        here = one.path.partition(".")[0]
        if one.number == first:
            tree = here
        elif tree and chain and here != tree:
            return False
        if isinstance(one.node, TurnOn | TurnOff) and one.node.name == switch:
            on = isinstance(one.node, TurnOn)
        if tree and on:
            return True
    return False


def _depth(case: Case, number: int) -> tuple[int | None, int]:
    """The thread on which that node stands, and in how many callbacks."""
    placed = list(case.walk())
    callbacks, above = 0, placed[number].parent
    while above is not None and not isinstance(placed[above].node, Thread):
        callbacks += isinstance(placed[above].node, Go | Export)
        above = placed[above].parent
    return above, callbacks


def _sets_the_limit(case: Case, late: bool) -> bool:
    nodes = [one.node for one in case.walk()]
    first = next((index for index, node in enumerate(nodes) if isinstance(node, Go | Export)), len(nodes))
    return any(isinstance(node, Setrlimit) for node in nodes[first if late else 0 :])


def _chains(cause: Cause, case: Case) -> Iterator[tuple[int, ...]]:
    placed = list(case.walk())
    if not cause.chain:
        yield ()
        return
    firsts = _first_callbacks(case) if cause.first else None

    def visit(number: int, rest: tuple[tuple[Kindly, ...], ...]) -> Iterator[tuple[int, ...]]:
        """Chains in which the rest stands below that node."""
        if not rest:
            yield (number,)
            return
        for below in _below(number, rest[0]):
            for chain in visit(below, rest[1:]):
                yield (number, *chain)

    def _below(number: int, element: tuple[Kindly, ...]) -> Iterator[int]:
        hidden: set[int] = set()  # below a thread that does not stand in the chain
        inside = {number}
        for one in placed[number + 1 :]:
            if one.parent not in inside:
                continue
            inside.add(one.number)
            if one.parent in hidden:
                hidden.add(one.number)
                continue
            if any(kind.fits(one.node) for kind in element):
                yield one.number
            if isinstance(one.node, Thread):
                hidden.add(one.number)

    for one in placed:
        if any(kind.fits(one.node) for kind in cause.chain[0]):
            for chain in visit(one.number, cause.chain[1:]):
                if firsts is None or chain[-1] in firsts:
                    yield chain


def _first_callbacks(case: Case) -> set[int]:
    """Of each thread the first node that is a callback into Go."""
    seen: dict[int | None, int] = {}
    thread: dict[int | None, int | None] = {None: None}
    for one in case.walk():
        thread[one.number] = one.number if isinstance(one.node, Thread) else thread[one.parent]
        if isinstance(one.node, Go | Export):
            seen.setdefault(thread[one.parent], one.number)
    return set(seen.values())


def _elements(text: str) -> tuple[tuple[Kindly, ...], ...]:
    """Raises ValueError for what is no pattern."""
    if not text:
        return ()
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"cause {text!r}: {error.msg}") from None
    if isinstance(tree, ast.Compare):
        if not all(isinstance(one, ast.Gt) for one in tree.ops):
            raise ValueError(f"cause {text!r}: nodes of a chain stand left and right of >")
        return tuple(tuple(_alternatives(one, text)) for one in (tree.left, *tree.comparators))
    return (tuple(_alternatives(tree, text)),)


def _alternatives(tree: ast.expr, text: str) -> Iterator[Kindly]:
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr):
        yield from _alternatives(tree.left, text)
        yield from _alternatives(tree.right, text)
        return
    name, tests = (tree.func, tree.args) if isinstance(tree, ast.Call) else (tree, [])
    if not isinstance(name, ast.Name) or name.id not in NODES:
        raise ValueError(f"cause {text!r}: {ast.unparse(tree)} is no node; there are {', '.join(NODES)}")
    kind = NODES[name.id]
    made = []
    for test in tests:
        fits = (
            isinstance(test, ast.Compare)
            and isinstance(test.left, ast.Name)
            and test.left.id in kind.__dataclass_fields__
            and len(test.ops) == 1
            and isinstance(test.comparators[0], ast.Constant | ast.UnaryOp)
        )
        if not fits:
            raise ValueError(
                f"cause {text!r}: {ast.unparse(test)} is no test of a property of {kind.__name__}"
            )
        assert isinstance(test, ast.Compare)
        assert isinstance(test.left, ast.Name)
        made.append((test.left.id, _OPERATORS[type(test.ops[0])], ast.literal_eval(test.comparators[0])))
    yield Kindly(kind, tuple(made))


# An entry.


@dataclass(frozen=True)
class End:
    """How a child ends that shows the fault."""

    kind: Kind
    words: re.Pattern[str]
    """Matches the whole of the normalised headline."""
    frames: re.Pattern[str]
    """Matches the whole of the runtime's frames, joined by `` < ``."""

    def fits(self, outcome: Outcome) -> bool:
        """Of a hang, any of the samples that were taken may show it."""
        signature = outcome.signature
        return (
            outcome.kind is self.kind
            and self.words.fullmatch(signature.headline) is not None
            and any(
                self.frames.fullmatch(" < ".join(frames)) is not None
                for frames in (signature.frames, *outcome.samples)
            )
        )


@dataclass(frozen=True)
class KnownIssue:
    """One fault of Go's."""

    id: str
    url: str
    title: str
    effect: str
    """One of ``EFFECTS``."""
    releases: tuple[tuple[str, str], ...]
    """Ranges in Go's order, both ends included; an empty second end means "and later".  For people, where the
    issue was measured; ``affects`` knows what holds between two measured releases."""
    platforms: tuple[str, ...]
    """Where it was seen."""
    causes: tuple[Cause, ...]
    """A case contains it where it contains one of them."""
    ends: tuple[End, ...]
    divergences: tuple[str, ...]
    """Keys of all the divergences that it explains (``Divergence.key``)."""
    consequences: tuple[str, ...]
    """Keys of those that it explains where one of ``divergences`` or ``ends`` shows beside them."""
    rate: float
    """How often the proof case shows it: 1.0 always."""
    proof: Case
    controls: tuple[Case, ...]
    """The proof without its cause, in which it must not show."""
    fixed: str = ""
    """Where and how it was mended."""
    note: str = ""
    """What goes wrong in the runtime, in some sentences."""
    trigger: str = ""
    """What of the host's brings it about, in the words of somebody who does not know Go."""
    masked: tuple[tuple[str, str], ...] = ()
    """Releases in which other faults explain all that the proof shows, and this one is there, too."""
    measured: tuple[tuple[str, bool], ...] = ()
    """The releases on which its proof was run, in Go's order, and whether it showed there."""

    @property
    def releases_text(self) -> tuple[str, ...]:
        """Its ranges as the list writes them."""
        return tuple(range_text(*one) for one in self.releases)

    def affects(self, version: str) -> bool:
        """A measured one as it was measured; another one, also a development version, as the last measured
        one before it."""
        key = version_key(version)
        if self.measured:
            newest_first = reversed(self.measured)
            return next((shows for measured, shows in newest_first if version_key(measured) <= key), False)
        return any(ranges.holds(one, version) for one in self.releases)

    def masked_in(self, version: str) -> bool:
        return any(ranges.holds(one, version) for one in self.masked)

    def caused_by(self, case: Case) -> bool:
        """Whether the case contains the cause."""
        return any(cause.found_in(case) is not None for cause in self.causes)

    def explains_end(self, outcome: Outcome) -> bool:
        return any(end.fits(outcome) for end in self.ends)

    def shown_by(self, outcome: Outcome) -> bool:
        """Whether the outcome shows what the proof does, whatever the case: an end that the entry has, or the
        first of its divergences."""
        return self.explains_end(outcome) or any(
            found.key in self.divergences[:1] for found in outcome.divergences
        )

    def touched_by(self, outcome: Outcome) -> bool:
        """Whether anything in the outcome is what this issue explains, whatever the case: for controls."""
        return self.explains_end(outcome) or any(
            found.key in (*self.divergences, *self.consequences) for found in outcome.divergences
        )


def range_text(first: str, last: str) -> str:
    return f"{first} and later" if not last else first if first == last else f"{first} - {last}"


def read(
    path: Path = FILE, measured: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> tuple[KnownIssue, ...]:
    """The list; ``measured``: releases as ``history.read`` gives them.  Raises KnownIssueError."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("issue", [])
    issues = tuple(_entry(entry, measured) for entry in entries)
    for issue in issues:
        if sum(other.id == issue.id for other in issues) > 1:
            raise KnownIssueError(f"known issue {issue.id}: an id stands for one entry")
    return issues


@cache
def shipped() -> tuple[KnownIssue, ...]:
    """The list that golib ships, with its history."""
    return read(measured=history.read())


_KEYS = frozenset(("id", "url", "title", "effect", "platforms", "cause", "rate", "proof", "controls"))
_MAY = frozenset(("releases", "masked", "note", "fixed", "end", "divergences", "consequences", "trigger"))


def _entry(entry: dict[str, Any], measured: Mapping[str, Mapping[str, Any]]) -> KnownIssue:
    name = entry.get("id", "?")
    if not set(entry) >= _KEYS or set(entry) - _KEYS - _MAY:
        raise KnownIssueError(
            f"known issue {name}: an entry has the keys {', '.join(sorted(_KEYS))} and may have "
            f"{', '.join(sorted(_MAY))}"
        )
    try:
        if not entry["cause"]:
            raise ValueError("an entry has a cause, one at least")
        if not entry.get("end") and not entry.get("divergences"):
            raise ValueError("an entry explains an end or divergences")
        if entry["effect"] not in EFFECTS:
            raise ValueError(f"effect = {entry['effect']!r}: it is one of {', '.join(EFFECTS)}")
        if not 0 < float(entry["rate"]) <= 1:
            raise ValueError(f"rate = {entry['rate']}: a rate is above 0, and 1 at the most")
        issue = KnownIssue(
            id=name,
            url=entry["url"],
            title=entry["title"],
            effect=entry["effect"],
            releases=tuple(ranges.read(text) for text in entry.get("releases", ())),
            platforms=tuple(entry["platforms"]),
            causes=tuple(_cause(data) for data in entry["cause"]),
            ends=tuple(_end(data) for data in entry.get("end", ())),
            divergences=tuple(entry.get("divergences", ())),
            consequences=tuple(entry.get("consequences", ())),
            rate=float(entry["rate"]),
            proof=_case(entry["proof"]),
            controls=tuple(map(_case, entry["controls"])),
            fixed=entry.get("fixed", ""),
            note=entry.get("note", "").strip(),
            trigger=entry.get("trigger", ""),
            masked=tuple(ranges.read(text) for text in entry.get("masked", ())),
        )
        seen = history.measured(measured, issue)
        if not issue.releases and seen:
            issue = replace(issue, releases=history.ranges(seen), measured=seen)
        elif not issue.releases:
            raise ValueError(
                "an entry names releases until its proof was measured (golib validate --proofs --history)"
            )
        if not issue.caused_by(issue.proof):
            raise ValueError("its proof does not contain its cause")
        for control in issue.controls:
            if issue.caused_by(control):
                raise ValueError(f"its control {control!r} contains its cause")
    except (ValueError, TypeError, re.error) as error:
        raise KnownIssueError(f"known issue {name}: {error}") from None
    return issue


def _case(text: str) -> Case:
    case = calltree.parse(text)
    legality.check(case)
    return case


def _cause(data: dict[str, Any]) -> Cause:
    nodes = data.get("nodes", "")
    may = {one.name for one in fields(Cause)} - {"text", "chain"} | {"nodes"}
    if unknown := set(data) - may:
        raise ValueError(f"cause: {', '.join(sorted(unknown))}: a cause has {', '.join(sorted(may))}")
    if not data:
        raise ValueError("cause: it names nodes, or something of the world")
    return Cause(
        text=nodes,
        chain=_elements(nodes),
        first=bool(data.get("first", False)),
        beside=_elements(data.get("beside", "")),
        apart=bool(data.get("apart", False)),
        bounds=tuple(data.get("bounds", ())),
        on=tuple(data.get("on", ())),
        signals=bool(data.get("signals", False)),
        blocked=tuple(data.get("blocked", ())),
        handlers=tuple(data.get("handlers", ())),
        second=data.get("second", ""),
        limit=data.get("limit", ""),
    )


def _end(data: dict[str, Any]) -> End:
    if set(data) != {"kind", "words", "frames"}:
        raise ValueError("end: it has kind, words and frames")
    if r"\d" in data["words"]:
        raise ValueError(f"words = {data['words']!r}: a number is N there, see outcome.normalise")
    return End(Kind(data["kind"]), re.compile(data["words"]), re.compile(data["frames"]))


def without_a_part(issue: KnownIssue) -> Iterator[tuple[str, Case]]:
    """The proof with one part of the cause taken out, where what is left is a legal case without the cause:
    what was taken out, and the case."""
    proof = issue.proof
    cause, numbers = next(
        (cause, found) for cause in issue.causes if (found := cause.found_in(proof)) is not None
    )
    changed: list[tuple[str, Case]] = []
    placed = {one.number: one for one in proof.walk()}
    for number in numbers:
        trees = tuple(_without(tree, placed[number].node) for tree in proof.trees)
        left = tuple(node for tree in trees for node in tree)
        changed.append((f"without {placed[number].node.label}", proof.having(*left)))
    for switch in cause.on:
        rest = tuple(other for other in proof.on if other != switch)
        changed.append((f"without {switch}", proof.having(*proof.trees, on=rest)))
    if cause.bounds:
        changed.append(("with real bounds", proof.having(*proof.trees, bounds="real")))
    if cause.signals:
        changed.append(("without signals", proof.having(*proof.trees, signals="")))
    if cause.limit:
        kept = [tree for tree in proof.trees if not isinstance(tree, Setrlimit)]
        changed.append(("without Setrlimit", proof.having(*kept)))
    if cause.handlers:
        changed.append(("with handlers from after the load", proof.having(*proof.trees, handlers="")))
    if cause.second:
        changed.append(("without the second library", proof.having(*proof.trees, second="")))
    if cause.blocked:
        changed.append((f"without {proof.blocked} blocked", proof.having(*proof.trees, blocked="")))
    for what, case in changed:
        try:
            legality.check(case)
        except calltree.IllegalCase:
            continue
        if not issue.caused_by(case):
            yield what, case


def _without(node: Node, gone: Node) -> tuple[Node, ...]:
    """The node with that one replaced by what stands in it."""
    if node is gone:
        return node.children()
    body = tuple(left for child in node.body for left in _without(child, gone))
    values = {name: getattr(node, name) for name in node.properties()}
    if "deferred" in values:
        values["deferred"] = tuple(left for child in values["deferred"] for left in _without(child, gone))
    return (type(node)(*body, **values),)


# Verdicts.


@dataclass(frozen=True)
class Verdict:
    """An outcome in the light of the known issues."""

    status: str
    """passed, known, or failed."""
    issues: tuple[str, ...]
    """Ids of the known issues that it shows."""
    signature: Signature
    """The one that decides: of the first fault that is not known, if there is one."""
    decisive: int
    """Which of the outcome's divergences that is; 0 where it is none."""


def verdict(outcome: Outcome, version: str, issues: Sequence[KnownIssue]) -> Verdict:
    """Whether the outcome is a pass, shows known issues only, or fails, on that release."""
    if outcome.kind is Kind.PASSED:
        return Verdict("passed", (), outcome.signature, 0)
    if outcome.kind in (Kind.HARNESS, Kind.RAISED):
        return Verdict("failed", (), outcome.signature, 0)
    ran = as_seen(outcome.ran, outcome.events)
    died = outcome.kind is not Kind.DIVERGENCE
    keys = {found.key for found in outcome.divergences}
    candidates = [
        issue
        for issue in issues
        if issue.affects(version)
        and (not keys.isdisjoint(issue.divergences) or (died and issue.explains_end(outcome)))
        and issue.caused_by(ran)  # last: it walks through the case
    ]
    shown: dict[str, None] = {}
    if died:
        ending = next((issue.id for issue in candidates if issue.explains_end(outcome)), None)
        if ending is None:
            return Verdict("failed", (), outcome.signature, 0)
        shown[ending] = None
    left = []
    for index, found in enumerate(outcome.divergences):
        explaining = [issue.id for issue in candidates if found.key in issue.divergences]
        if not explaining:
            left.append(index)
        elif not shown.keys() & set(explaining):
            shown[explaining[0]] = None
    following = {key for issue in candidates if issue.id in shown for key in issue.consequences}
    for index in left:
        key = outcome.divergences[index].key
        if key not in following:
            signature = outcome.signature if died else Signature(Kind.DIVERGENCE.value, key)
            return Verdict("failed", tuple(shown), signature, index)
    return Verdict("known", tuple(shown), outcome.signature, 0)
