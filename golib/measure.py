"""A library as shipped, loaded and called in a short run at each place: what a call costs on the main thread
and on another, what dies where, and which known issues that shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from golib.case import legality
from golib.case.calltree import C, Case, IllegalCase, Python, Stack, Thread
from golib.case.places import PLACES
from golib.door import FromOutside
from golib.files.found import Progress
from golib.judge.affected import Affected
from golib.judge.footprint import Footprint, footprints, ratio
from golib.judge.outcome import Kind, Outcome
from golib.run.forkserver import ServerError
from golib.toolchains.build import BuildError
from golib.toolchains.outside import Outside
from golib.toolchains.shipped import Shipped, ShippedError

SECONDS = 30.0
"""For one place."""
_MOST_CALLS = 100
_BUDGET = 2e6
"""µs for the calls of one case: a slow function is called less often."""
_ASKS = 0.9
"""Questions a call: from here on it is said to ask at every call."""
ASKED_ALWAYS, ASKED_AFTER_ANOTHER_STACK = "go#68587", "golib-9"
"""The issues by which it does, and by which it does so after a call from another stack."""
MASK_KEPT, _MASK = "golib-10", "thread sigmask"
"""The issue by which a thread that had SIGPROF blocked has it unblocked, and how that shows."""


class MeasureError(Exception):
    """The library cannot be measured: one sentence."""


@dataclass
class Measured:
    """Of one library and one function that calls it."""

    library: Shipped
    call: str
    main: Footprint | None
    """None where the process died of the call."""
    other: Footprint | None
    places: dict[str, Outcome] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    """At each place."""
    shown: dict[str, list[str]] = field(default_factory=dict)
    """Ids of known issues, and the places that showed each."""

    @property
    def ratio(self) -> float | None:
        """How much longer a call on the main thread takes than on another."""
        return ratio(self.main, self.other) if self.main and self.other else None


def measure(
    library: Shipped, call: str, folders: Sequence[str], issues: Sequence[Affected], progress: Progress
) -> Measured:
    """Loads it and calls ``call``, ``module:function``, in children of this process.  ``folders``: where the
    module is looked for before Python's own.  ``issues``: those that its release has.

    Raises MeasureError."""
    try:
        subject = FromOutside(Outside(library.path, tuple(folders)))
        return _measure(subject, library, call, issues, progress)
    except (ShippedError, BuildError, ServerError, IllegalCase, ValueError) as error:
        raise MeasureError(f"{library}: it cannot be measured: {error}") from None


def _measure(
    subject: FromOutside, library: Shipped, call: str, issues: Sequence[Affected], progress: Progress
) -> Measured:
    scenario = Python(call=call)
    first = _cost(subject, Case(C(scenario, times=3)))
    slow = (first.microseconds if first else None) or 1
    often = max(3, min(_MOST_CALLS, int(_BUDGET / slow))) + 1
    main = _cost(subject, Case(C(scenario, times=often)))
    other = _cost(subject, Case(Thread(C(scenario, times=often))))
    measured = Measured(library, call, main, other)
    if main and other and min(_asks(main), _asks(other)) >= _ASKS:
        _show(measured, ASKED_ALWAYS, "main", issues)
    for name, case in _cases(scenario, often):
        progress(f"{library.name}: {name}")
        outcome = measured.places[name] = subject.run(case, SECONDS)
        if outcome.kind is Kind.HARNESS:
            raise MeasureError(f"{library}: {outcome.headline}")
        asks = _asks(footprints(outcome)[-1]) if name == _AFTER and outcome.kind is Kind.PASSED else 0
        if asks >= _ASKS and ASKED_ALWAYS not in measured.shown:
            _show(measured, ASKED_AFTER_ANOTHER_STACK, name, issues)
        if name == _BLOCKED and any(one.key == _MASK for one in outcome.divergences):
            _show(measured, MASK_KEPT, name, issues)
        for issue in issues:
            if issue.issue.explains_end(outcome):
                _show(measured, issue.issue.id, name, issues)
    return measured


_AFTER, _BLOCKED = "after-foreign", "sigprof-blocked"


def _cases(scenario: Python, often: int) -> Iterator[tuple[str, Case]]:
    """Those of ``golib places`` that need no Go frame of golib's, and two that known issues need."""
    for place in PLACES.values():
        if place.elsewhere or place.greenlet:
            continue  # these need a test
        case = place.case(scenario.call)
        try:
            legality.check_from_outside(case)
        except IllegalCase:
            continue
        (tree,) = case.trees if len(case.trees) == 1 else (None,)
        if isinstance(tree, C) and tree.times > 10 * often:
            case = Case(C(*tree.body, times=10 * often))
        yield place.name, case
    yield _AFTER, Case(Stack(scenario), C(scenario, times=min(often, 21)))
    yield _BLOCKED, Case(scenario, blocked="SIGPROF")


def _cost(subject: FromOutside, case: Case) -> Footprint | None:
    """Of its one scenario; None where the process died of it.  Raises ValueError where the function fails."""
    outcome = subject.run(case, SECONDS)
    if outcome.kind in (Kind.RAISED, Kind.HARNESS):
        last = outcome.stderr.strip().splitlines()[-1:]
        raise ValueError(f"{outcome.headline} at an ordinary place{f' ({last[0]})' if last else ''}")
    return footprints(outcome)[-1] if outcome.kind in (Kind.PASSED, Kind.DIVERGENCE) else None


def _asks(one: Footprint) -> float:
    """Questions a call."""
    return one.questions / one.asking


def _show(measured: Measured, name: str, place: str, issues: Sequence[Affected]) -> None:
    if any(issue.issue.id == name for issue in issues):
        measured.shown.setdefault(name, []).append(place)


def as_json(measured: Measured) -> dict[str, object]:
    return {
        "library": str(measured.library.path),
        "package": measured.library.distribution or None,
        "call": measured.call,
        "main": _cost_json(measured.main),
        "other": _cost_json(measured.other),
        "ratio": round(measured.ratio, 2) if measured.ratio else None,
        "places": {
            name: {"kind": outcome.kind.value, "headline": outcome.headline}
            for name, outcome in measured.places.items()
        },
        "shown": measured.shown,
    }


def _cost_json(one: Footprint | None) -> dict[str, object] | None:
    if one is None:
        return None
    return {
        "calls": one.calls,
        "microseconds": one.microseconds,
        "questions_a_call": round(_asks(one), 3),
        "threads_left": one.threads,
        "descriptors_left": one.descriptors,
    }


def text(measured: Measured) -> list[str]:
    library = measured.library
    lines = [f"measured: {library.distribution or library.path}, {measured.call} (it was loaded and called)"]
    for name, one in (("main thread", measured.main), ("another thread", measured.other)):
        lines.append(
            f"  {name + ':':<15} the process died of the call"
            if one is None
            else f"  {name + ':':<15} {one.microseconds or 0:.1f} µs a call, {_asks(one):.2f} questions to"
            f" pthread_getattr_np a call, {one.threads:+} threads and {one.descriptors:+} descriptors left"
            " behind"
        )
    if measured.ratio:
        lines.append(f"  a call on the main thread takes {measured.ratio:.1f} times as long as on another")
    alike: dict[str, list[str]] = {}
    for name, outcome in measured.places.items():
        known = ", ".join(issue for issue, where in measured.shown.items() if name in where)
        end = f": {_headline(outcome)} ({known or 'no known issue explains it'})"
        alike.setdefault("" if outcome.kind is Kind.PASSED else end, []).append(name)
    passed = alike.pop("", [])
    lines.append(f"  passed at {len(passed)} of {len(measured.places)} places{_list(passed)}")
    for end, where in alike.items():
        lines.append(f"  at {len(where)}{_list(where)}{end}")
    shown = ", ".join(measured.shown) or "none of the known issues"
    return [*lines, f"  a short run has shown {shown}; the others are inferred from the release"]


def _list(places: Sequence[str]) -> str:
    return f" ({', '.join(places)})" if places else ""


def _headline(outcome: Outcome) -> str:
    if outcome.kind is Kind.DIVERGENCE:
        first = outcome.divergences[0]
        return f"{first.field} is {first.seen}, expected {first.expected}"
    return outcome.headline
