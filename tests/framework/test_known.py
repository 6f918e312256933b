"""The list of known issues as such: ranges, entries, and what a verdict makes of an outcome.

Whether the shipped list is true of the releases is for tests/runtime/test_known_issues.py.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from golib import C, Case, Go, parse
from golib.case import legality
from golib.case.script import Phase
from golib.judge import known, model
from golib.judge.known import End, KnownIssue, KnownIssueError, verdict
from golib.judge.model import Divergence, Rule
from golib.judge.outcome import Kind, Outcome, Signature, judge
from golib.run.trace import Ended, Event

GOOD = {
    "id": '"go#1"',
    "url": '"https://go.dev/issue/1"',
    "title": '"a fault"',
    "effect": '"slow"',
    "releases": '["1.22.5 - 1.22.12"]',
    "platforms": '["linux/amd64, glibc"]',
    "divergences": '["cached queries"]',
    "rate": "1.0",
    "proof": '"Case(Go())"',
    "controls": '["Case(C())"]',
    "cause": "[{nodes = 'Go'}]",
}


def entry(**changes: str | None) -> str:
    lines = [f"{key} = {value}" for key, value in (GOOD | changes).items() if value is not None]
    return "\n".join(["[[issue]]", *lines, ""])


def read(tmp_path: Path, *entries: str) -> tuple[KnownIssue, ...]:
    path = tmp_path / "issues.toml"
    path.write_text("\n".join(entries), encoding="utf-8")
    return known.read(path)


# Ranges.


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("1.21.0", "1.21.0", "1.21rc4 1.21.1 1.20.9"),
        ("1.22.5 - 1.22.12", "1.22.5 1.22.9 1.22.12", "1.22.4 1.22.13 1.23.0 1.22rc2"),
        # 1.9 would come after 1.22 if versions were text.
        ("1.21.9 - 1.21.11", "1.21.9 1.21.10 1.21.11", "1.21.1 1.21.8 1.21.12"),
        ("1.23.5 and later", "1.23.5 1.23.12 1.24.0 1.27rc1 2.0.0", "1.23.4 1.23rc1 1.22.12"),
        ("1.24rc1 - 1.24.0", "1.24rc1 1.24rc2 1.24.0", "1.24beta1 1.24.1 1.23.9"),
        ("1.22.0 - 1.23.4", "1.22.0 1.22.99 1.23rc1 1.23.0 1.23.4", "1.22rc1 1.23.5"),
        # A working tree comes after every release of its own minor.
        ("1.26.0 and later", "devel go1.26-abc devel go1.27-abc", "devel go1.25-abc"),
    ],
)
def test_a_range_is_in_gos_order_with_both_ends(tmp_path: Path, text: str, inside: str, outside: str) -> None:
    [issue] = read(tmp_path, entry(releases=f'["{text}"]'))
    versions = re.findall(r"devel \S+|\S+", inside)
    assert [version for version in versions if not issue.affects(version)] == []
    versions = re.findall(r"devel \S+|\S+", outside)
    assert [version for version in versions if issue.affects(version)] == []


def test_an_entry_may_have_several_ranges(tmp_path: Path) -> None:
    [issue] = read(tmp_path, entry(releases='["1.21.12 - 1.21.13", "1.22.5 - 1.22.12"]'))
    seen = [version for version in ("1.21.11", "1.21.13", "1.22.0", "1.22.5") if issue.affects(version)]
    assert seen == ["1.21.13", "1.22.5"]


# Entries.


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"title": None}, "an entry has the keys cause, controls, effect, "),
        ({"colour": '"red"'}, "an entry has the keys cause, controls, effect, "),
        ({"effect": '"bad"'}, "effect = 'bad': it is one of crash, hang, corruption, slow, silent"),
        ({"cause": "[{nodes = 'Went'}]"}, "cause 'Went': Went is no node; there are Go, C, "),
        ({"cause": "[{nodes = 'Go < C'}]"}, "nodes of a chain stand left and right of >"),
        ({"cause": "[{nodes = 'C(depth == 1)'}]"}, "depth == 1 is no test of a property of C"),
        ({"cause": "[{nodes = 'C('}]"}, "cause 'C(': "),
        (
            {"cause": "[{moon = 'full'}]"},
            "cause: moon: a cause has apart, beside, blocked, bounds, first, handlers, limit, nodes, on,"
            " second, signals",
        ),
        ({"cause": "[{}]"}, "cause: it names nodes, or something of the world"),
        ({"cause": "[{nodes = 'Panic'}]"}, "its proof does not contain its cause"),
        ({"controls": '["Case(Go())"]'}, "its control Case(Go()) contains its cause"),
        ({"end": "[{kind = 'fatal'}]"}, "end: it has kind, words and frames"),
        ({"end": "[{kind = 'bored', words = '', frames = ''}]"}, "'bored' is not a valid Kind"),
        (
            {"end": r"[{kind = 'signal', words = 'died by signal \d+', frames = ''}]"},
            "a number is N there",
        ),
        ({"releases": '["newer ones"]'}, "no Go version in 'newer ones'"),
        ({"releases": '["1.22.5 - soon"]'}, "no Go version in 'soon'"),
        ({"end": "[{kind = 'fatal', words = '(open', frames = ''}]"}, "missing ), unterminated subpattern"),
        ({"rate": '"often"'}, "could not convert string to float"),
        ({"proof": '"Case(Go("'}, "is no case: "),
        ({"proof": '"Case(Went())"'}, "Went is no node of a call tree"),
        ({"proof": '"Case(Go(Panic()))"'}, "tree 0 panics with no recover above it"),
        ({"proof": '"Case()"'}, "a case needs a call tree"),
    ],
)
def test_a_bad_entry_is_named_with_the_rule(
    tmp_path: Path, changes: dict[str, str | None], rule: str
) -> None:
    with pytest.raises(KnownIssueError) as caught:
        read(tmp_path, entry(**changes))
    assert str(caught.value).startswith("known issue go#1: ")
    assert rule in str(caught.value)


@pytest.mark.parametrize("rate", ["0.0", "-1.0", "1.5", "nan"])
def test_a_rate_is_a_share(tmp_path: Path, rate: str) -> None:
    # With 0 the proof would be run an endless number of times.
    with pytest.raises(KnownIssueError, match=r"^known issue go#1: "):
        read(tmp_path, entry(rate=rate))


@pytest.mark.parametrize("key", ["releases", "divergences", "cause"])
def test_an_entry_without_a_range_a_cause_or_a_divergence_says_nothing(tmp_path: Path, key: str) -> None:
    with pytest.raises(KnownIssueError, match=r"^known issue go#1: "):
        read(tmp_path, entry(**{key: "[]"}))


def test_a_range_that_ends_before_it_begins_covers_nothing_and_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KnownIssueError, match=r"^known issue go#1: "):
        read(tmp_path, entry(releases='["1.22.12 - 1.22.5"]'))


def test_an_id_stands_for_one_entry(tmp_path: Path) -> None:
    with pytest.raises(KnownIssueError, match=r"^known issue go#1: an id stands for one entry$"):
        read(tmp_path, entry(), entry(title='"another"'))


def test_an_entry_may_have_a_note(tmp_path: Path) -> None:
    assert read(tmp_path, entry(note='"why"'))[0].id == "go#1"


# The shipped list.

SHIPPED = known.shipped()


def test_the_shipped_list_has_the_public_issues_that_the_seed_is_about() -> None:
    assert {"go#68285", "go#68587", "go#62440"} <= {issue.id for issue in SHIPPED}


@pytest.mark.parametrize("issue", SHIPPED, ids=[issue.id for issue in SHIPPED])
def test_a_shipped_entry_is_complete_and_its_proof_small(issue: KnownIssue) -> None:
    assert re.fullmatch(r"(go#|golib-)\d+", issue.id)
    if issue.id.startswith("go#"):
        assert issue.url == f"https://go.dev/issue/{issue.id.removeprefix('go#')}"
    assert issue.title
    assert issue.releases
    assert issue.platforms
    assert issue.causes
    assert issue.controls or not issue.affects("1.27.4"), "what lives has controls"
    assert 0 < issue.rate <= 1
    legality.check(issue.proof)
    # What shows always shows in a handful of nodes; a race needs company, and is searched for in less.  Trees
    # that differ in a number sweep over something, and count once.
    shapes = {re.sub(r"\d+", "n", repr(tree)): tree for tree in issue.proof.trees}
    assert Case(*shapes.values()).size() <= (6 if issue.rate == 1 else 20)
    # What fits every end of a kind would make a new fault a known one.
    for kind in set(Kind) - {Kind.DIVERGENCE}:
        new = outcome(kind, headline="something else altogether", frames=("runtime.other",))
        assert not issue.explains_end(new)


# Causes.


@pytest.mark.parametrize(
    ("nodes", "has", "has_not"),
    [
        ("Go", "Case(C(Go()))", "Case(C())"),
        ("Go > Go", "Case(Go(C(Go())))", "Case(Go(), Go())"),
        ("Stack(region > 0) > Go", "Case(Stack(C(Go()), region=2))", "Case(Stack(Go(), region=-1))"),
        ("GC | Traceback", "Case(Go(Traceback()))", "Case(Go(Yield()))"),
        ("Thread(kind != 'go') > Go", "Case(Thread(Go()))", "Case(Go(Thread(GC(), kind='go')))"),
        # On one thread: what another does below is another's.
        ("Stack > Go", "Case(Stack(Go()))", "Case(Stack(Thread(Go())))"),
        ("Stack > Thread > Go", "Case(Stack(Thread(Go())))", "Case(Thread(Stack(Go())))"),
        ("Go > Panic", "Case(Go(Go(Panic()), recover=True))", "Case(Go(recover=True))"),
        # What is deferred stands below its frame.
        ("Go > GC", "Case(Go(deferred=(GC(),)))", "Case(Go())"),
    ],
)
def test_a_cause_is_a_chain_of_nodes(tmp_path: Path, nodes: str, has: str, has_not: str) -> None:
    [issue] = read(tmp_path, entry(cause=f'[{{nodes = "{nodes}"}}]', proof=f'"{has}"', controls="[]"))
    assert not issue.caused_by(parse(has_not))


@pytest.mark.parametrize(
    ("cause", "has", "has_not"),
    [
        ("nodes = 'Go', bounds = ['hidden', 'absent']", "Case(Go(), bounds='absent')", "Case(Go())"),
        (
            "nodes = 'Go', on = ['trace']",
            "Case(Go(), on=('notify', 'trace'))",
            "Case(Go(), on=('notify',))",
        ),
        (
            "nodes = 'Thread > Go', on = ['trace']",
            "Case(Go(TurnOn()), Thread(Go()))",
            "Case(Go(TurnOn(name='blockprofile')), Thread(Go()))",
        ),
        # When it is too late, or over.
        (
            "nodes = 'Thread > Go', on = ['trace']",
            "Case(Thread(Go(), Go(TurnOn())))",
            "Case(Thread(Go()), Go(TurnOn()))",
        ),
        (
            "nodes = 'Thread > Go', on = ['trace']",
            "Case(Go(TurnOn(), TurnOff()), Go(TurnOn()), Thread(Go()))",
            "Case(Go(TurnOn(), TurnOff()), Thread(Go()))",
        ),
        (
            "nodes = 'Thread > Go', on = ['trace']",
            "Case(Go(TurnOff()), Thread(Go(TurnOn())), on=('trace',))",
            "Case(Go(TurnOff()), Thread(Go()), on=('trace',))",
        ),
        (
            "nodes = 'Pull', beside = 'Next', apart = true",
            "Case(Go(Thread(Go(Pull())), Next()))",
            "Case(Go(Thread(Go(Pull(), Next()))))",
        ),
        (
            "nodes = 'Pull', beside = 'Next', apart = true",
            "Case(Go(Go(Pull()), Next()))",
            "Case(C(Go(Pull()), Go(Next())))",
        ),
        ("signals = true", "Case(Go(), signals='SIGURG')", "Case(Signal(name='SIGURG'))"),
        ("nodes = 'Go', blocked = ['SIGPROF']", "Case(Go(), blocked='SIGPROF')", "Case(Go())"),
        (
            "nodes = 'Stack > Go', first = true",
            "Case(Stack(Go()), Go())",
            "Case(Go(), Stack(Go()))",
        ),
        (
            "nodes = 'Thread > Stack > Go', first = true",
            "Case(Go(), Thread(Stack(Go())))",
            "Case(Thread(C(Go()), Stack(Go())))",
        ),
        ("nodes = 'Go > GC', beside = 'Go > Go'", "Case(Go(C(Go()), GC()))", "Case(Go(GC()))"),
    ],
)
def test_a_cause_names_the_world_and_what_comes_first(
    tmp_path: Path, cause: str, has: str, has_not: str
) -> None:
    [issue] = read(tmp_path, entry(cause=f"[{{{cause}}}]", proof=f'"{has}"', controls="[]"))
    assert not issue.caused_by(parse(has_not))


def test_the_parts_of_a_cause_are_taken_out_one_at_a_time(tmp_path: Path) -> None:
    text = entry(
        cause="[{nodes = 'Go(recover == True) > Stack > Panic', on = ['trace']}]",
        proof="\"Case(Go(C(Stack(Go(Panic()))), recover=True), on=('trace',))\"",
    )
    [issue] = read(tmp_path, text)
    # Without the frame that recovers it would be no case.
    assert [(what, repr(case)) for what, case in known.without_a_part(issue)] == [
        ("without Stack()", "Case(Go(C(Go(Panic())), recover=True), on=('trace',))"),
        ("without Panic()", "Case(Go(C(Stack(Go())), recover=True), on=('trace',))"),
        ("without trace", "Case(Go(C(Stack(Go(Panic()))), recover=True))"),
    ]


# Verdicts.

CASE = Case(C(Go()))


def divergence(rule: Rule, field: str, index: int = 0) -> Divergence:
    return Divergence(0, "Go()", Phase.ENTERED, "Go", field, 1, 2, rule, index)


def outcome(
    kind: Kind,
    *found: Divergence,
    headline: str = "",
    frames: tuple[str, ...] = (),
    ran: Case = CASE,
    samples: tuple[tuple[str, ...], ...] = (),
) -> Outcome:
    signature = Signature(kind.value, found[0].key if kind is Kind.DIVERGENCE else headline, frames)
    return Outcome(CASE, kind, headline, signature, found, (), 0, "", ran, samples)


def issue(
    name: str,
    *divergences: str,
    end: tuple[str, str, str] | None = None,
    nodes: str = "Go",
    consequences: tuple[str, ...] = (),
) -> KnownIssue:
    [made] = (
        dataclasses.replace(
            known.shipped()[0],
            id=name,
            releases=(("1.22.0", "1.23.4"),),
            measured=(),
            divergences=divergences,
            consequences=consequences,
            causes=(known.Cause(nodes, known._elements(nodes)),),
            ends=(End(Kind(end[0]), re.compile(end[1]), re.compile(end[2])),) if end else (),
        ),
    )
    return made


QUERIES = issue("go#2", "cached queries", "asked queries")
BOUNDS = issue(
    "go#3", "restored lo", "restored hi", end=("fatal", "fatal error: split", r"runtime\.a( < .*)?")
)
ISSUES = (QUERIES, BOUNDS)
INSIDE, OUTSIDE = "1.23.4", "1.23.5"
SPLIT = {"headline": "fatal error: split", "frames": ("runtime.a", "runtime.b")}


def test_a_pass_is_a_pass() -> None:
    found = verdict(outcome(Kind.PASSED, headline="passed"), INSIDE, ISSUES)
    assert (found.status, found.issues) == ("passed", ())


def test_what_only_known_issues_explain_is_known() -> None:
    both = outcome(Kind.DIVERGENCE, divergence(Rule.CACHED, "queries"), divergence(Rule.RESTORED, "hi", 3))
    found = verdict(both, INSIDE, ISSUES)
    assert (found.status, found.issues) == ("known", ("go#2", "go#3"))


def test_a_known_death_is_known() -> None:
    found = verdict(outcome(Kind.FATAL, **SPLIT), INSIDE, ISSUES)  # type: ignore[arg-type]
    assert (found.status, found.issues) == ("known", ("go#3",))


def test_a_death_elsewhere_is_not() -> None:
    died = outcome(Kind.FATAL, headline="fatal error: split", frames=("runtime.b", "runtime.a"))
    assert verdict(died, INSIDE, ISSUES).status == "failed"


def test_any_sample_of_a_hang_may_show_it() -> None:
    hung = issue("golib-9", end=("hang", "stuck", r"runtime\.needm( < .*)?"))
    seen = outcome(Kind.HANG, headline="stuck", frames=("runtime.other",))
    assert verdict(seen, INSIDE, (hung,)).status == "failed"
    seen = dataclasses.replace(seen, samples=(("runtime.other",), ("runtime.needm", "runtime.b")))
    assert verdict(seen, INSIDE, (hung,)).status == "known"


def test_every_part_of_a_death_is_explained_or_it_fails() -> None:
    restored, new = divergence(Rule.RESTORED, "lo"), divergence(Rule.ESTIMATE, "lo", 4)
    died = outcome(Kind.FATAL, restored, divergence(Rule.CACHED, "queries"), **SPLIT)  # type: ignore[arg-type]
    assert verdict(died, INSIDE, ISSUES).issues == ("go#3", "go#2")
    died = outcome(Kind.FATAL, restored, new, **SPLIT)  # type: ignore[arg-type]
    found = verdict(died, INSIDE, ISSUES)
    assert (found.status, found.decisive) == ("failed", 1)


def test_without_its_cause_in_the_case_an_issue_explains_nothing() -> None:
    seen = outcome(Kind.DIVERGENCE, divergence(Rule.CACHED, "queries"))
    elsewhere = issue("go#2", "cached queries", nodes="Stack > Go")
    assert verdict(seen, INSIDE, (elsewhere,)).status == "failed"
    # In a row the cause may stand in a case before.
    behind = outcome(
        Kind.DIVERGENCE, divergence(Rule.CACHED, "queries"), ran=parse("Case(Stack(Go()), C(Go()))")
    )
    assert verdict(behind, INSIDE, (elsewhere,)).status == "known"


def test_a_consequence_is_explained_beside_what_it_follows_from_only() -> None:
    first, follows = divergence(Rule.RECOVERED, "lo"), divergence(Rule.ASKED, "queries", 3)
    panicking = issue("golib-1", "recovered lo", consequences=("asked queries",))
    both = outcome(Kind.DIVERGENCE, first, follows)
    assert verdict(both, INSIDE, (panicking,)).issues == ("golib-1",)
    alone = outcome(Kind.DIVERGENCE, follows)
    assert verdict(alone, INSIDE, (panicking,)).status == "failed"
    # Where another fault explains it by itself, it is that one's.
    assert verdict(alone, INSIDE, (panicking, QUERIES)).issues == ("go#2",)


def test_an_unknown_divergence_behind_a_known_one_decides() -> None:
    known_one, new = divergence(Rule.CACHED, "queries"), divergence(Rule.RESTORED, "guard0", 5)
    found = verdict(outcome(Kind.DIVERGENCE, known_one, new), INSIDE, ISSUES)
    assert (found.status, found.issues, found.decisive) == ("failed", ("go#2",), 1)
    assert found.signature == Signature("divergence", "restored guard0")


def test_a_release_outside_the_range_has_no_excuse() -> None:
    seen = outcome(Kind.DIVERGENCE, divergence(Rule.CACHED, "queries"))
    assert verdict(seen, INSIDE, ISSUES).status == "known"
    assert verdict(seen, OUTSIDE, ISSUES).status == "failed"
    assert verdict(seen, INSIDE, ()).status == "failed"


@pytest.mark.parametrize("kind", [Kind.FATAL, Kind.SIGNAL, Kind.HANG, Kind.LOST])
def test_an_end_that_nobody_knows_is_a_failure(kind: Kind) -> None:
    found = verdict(outcome(kind, headline="new"), INSIDE, ISSUES)
    assert (found.status, found.signature) == ("failed", Signature(kind.value, "new"))


def test_our_own_fault_is_never_known() -> None:
    everything = issue("go#4", "cached queries", end=("harness", ".*", ".*"))
    seen = outcome(Kind.HARNESS, divergence(Rule.CACHED, "queries"), headline="ours")
    assert verdict(seen, INSIDE, (everything,)).status == "failed"


def test_a_key_is_no_pattern() -> None:
    # "restored lo" is no excuse for "restored lockedInt".
    seen = outcome(Kind.DIVERGENCE, divergence(Rule.RESTORED, "lockedInt"))
    assert verdict(seen, INSIDE, ISSUES).status == "failed"


def test_a_proof_shows_an_end_or_the_first_divergence() -> None:
    died = outcome(Kind.FATAL, **SPLIT)  # type: ignore[arg-type]
    restored = outcome(Kind.DIVERGENCE, divergence(Rule.RESTORED, "lo"))
    assert BOUNDS.shown_by(died)
    assert BOUNDS.shown_by(restored)
    other = outcome(Kind.DIVERGENCE, divergence(Rule.RESTORED, "hi"))
    assert not BOUNDS.shown_by(other)
    assert BOUNDS.touched_by(other)
    assert QUERIES.shown_by(outcome(Kind.DIVERGENCE, divergence(Rule.CACHED, "queries")))
    assert not QUERIES.shown_by(outcome(Kind.DIVERGENCE, divergence(Rule.ASKED, "queries")))


# The list from its other side: what an entry does not list, it does not hide.

TRACES = Path(__file__).parent / "traces"

MOST = 24
"""Events of a trace that are changed, one at a time."""

NOT_JUDGED = {
    "goroutines": "for tests that count goroutines",
    "curg_lo": "only by the distance of other fields from curg_hi",
}
"""Fields that no rule compares by themselves, and why."""


class Recorded:
    """A proof that showed its issue: its end as it was, with events that may be others."""

    def __init__(self, issue: KnownIssue) -> None:
        data = json.loads((TRACES / f"{issue.id.replace('#', '-')}.json").read_text())
        assert Case.from_json(data["case"]) == issue.proof, f"record {issue.id} again: its proof has changed"
        self.version: str = data["version"]
        ended = Ended.from_json(data["ended"])
        self.seen = judge(issue.proof, ended, data["stack_guard"])
        self._complete = ended.status == 0 and ended.record.finished > 0
        self._stack_guard = data["stack_guard"]

    def with_events(self, events: tuple[Event, ...]) -> Outcome:
        found = model.divergences(
            self.seen.case, events, complete=self._complete, stack_guard=self._stack_guard
        )
        return dataclasses.replace(self.seen, events=events, divergences=tuple(found))


def others(value: Any) -> Iterator[Any]:
    """Values that it might wrongly have, near and far."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, tuple):
        for index, one in enumerate(value):
            for other in others(one):
                yield (*value[:index], other, *value[index + 1 :])
    else:
        yield from {value + 1, max(0, value - 1), value ^ (1 << 20), 0} - {value}


def changes(event: Event) -> Iterator[tuple[str, list[Event]]]:
    """Each of its fields, and the event with other values there."""
    for name in Event._fields:
        value = getattr(event, name)
        if name == "phase":
            yield name, [event._replace(phase=one) for one in Phase if one is not value]
        elif name == "values":
            for field, number in value.items():
                yield (
                    field,
                    [event._replace(values={**value, field: other}) for other in others(number)],
                )
        else:
            yield name, [event._replace(**{name: other}) for other in others(value)]


@pytest.mark.parametrize("issue", SHIPPED, ids=[issue.id for issue in SHIPPED])
def test_an_entry_hides_nothing_that_it_does_not_list(issue: KnownIssue) -> None:
    run = Recorded(issue)
    before = verdict(run.seen, run.version, SHIPPED)
    assert before.status == "known"
    assert issue.id in before.issues
    candidates = [one for one in SHIPPED if one.affects(run.version) and one.caused_by(issue.proof)]
    listed = {key for one in candidates for key in (*one.divergences, *one.consequences)}
    at_first = set(run.seen.divergences)
    # Of a sweep over depths the last ones stand for all.
    for index, event in list(enumerate(run.seen.events))[-MOST:]:
        for name, changed in changes(event):
            for other in changed:
                after = run.with_events((*run.seen.events[:index], other, *run.seen.events[index + 1 :]))
                new = {found.key for found in after.divergences if found not in at_first}
                hidden = new - listed and verdict(after, run.version, SHIPPED).status != "failed"
                assert not hidden, f"event {index}: {name}: {new} is hidden"


def test_what_no_rule_judges_is_listed() -> None:
    """Each field is judged at some event of some proof, or says above why it is not."""
    judged, all_of_them = set(), set()
    for issue in SHIPPED:
        run = Recorded(issue)
        before = set(run.seen.divergences)
        for index, event in enumerate(run.seen.events):
            for name, changed in changes(event):
                all_of_them.add(name)
                for other in [] if name in judged else changed:
                    events = (*run.seen.events[:index], other, *run.seen.events[index + 1 :])
                    if set(run.with_events(events).divergences) - before:
                        judged.add(name)
    assert all_of_them - judged == set(NOT_JUDGED)
