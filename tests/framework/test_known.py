"""The list of known issues as such: ranges, entries, and what a verdict makes of an outcome.

Whether the shipped list is true of the releases is for tests/runtime/test_known_issues.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from golib import C, Case, Go, known, legality
from golib.known import KnownIssue, KnownIssueError, verdict
from golib.model import Divergence, Rule
from golib.outcome import Kind, Outcome, Signature
from golib.trace import Phase

GOOD = {
    "id": '"go#1"',
    "url": '"https://go.dev/issue/1"',
    "title": '"a fault"',
    "releases": '["1.22.5 - 1.22.12"]',
    "signatures": '["divergence: cached queries"]',
    "rate": "1.0",
    "proof": '"Case(Go())"',
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
        ({"title": None}, "an entry has the keys id, proof, rate, "),
        ({"colour": '"red"'}, "an entry has the keys id, proof, rate, "),
        ({"releases": '["newer ones"]'}, "no Go version in 'newer ones'"),
        ({"releases": '["1.22.5 - soon"]'}, "no Go version in 'soon'"),
        ({"signatures": '["(open"]'}, "missing ), unterminated subpattern"),
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


@pytest.mark.parametrize("key", ["releases", "signatures"])
def test_an_entry_without_a_range_or_a_signature_says_nothing(tmp_path: Path, key: str) -> None:
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
    assert issue.signatures
    assert 0 < issue.rate <= 1
    legality.check(issue.proof)
    # What shows always shows in a handful of nodes; a race needs company, and is searched for in less.
    assert issue.proof.size() <= (6 if issue.rate == 1 else 20)
    # A signature that fits every failure of a kind would make a new fault a known one.
    for kind in Kind:
        assert not issue.matches(Signature(kind.value, "something else altogether", ("runtime.other",)))


# Verdicts.


def divergence(rule: Rule, field: str, index: int = 0) -> Divergence:
    return Divergence(0, "Go()", Phase.ENTERED, "Go", field, 1, 2, rule, index)


def outcome(kind: Kind, *found: Divergence, headline: str = "", frames: tuple[str, ...] = ()) -> Outcome:
    signature = Signature(kind.value, found[0].key if kind is Kind.DIVERGENCE else headline, frames)
    return Outcome(Case(C(Go())), kind, headline, signature, found, (), 0, "")


def issue(name: str, *signatures: str, releases: Any = (("1.22.0", "1.23.4"),)) -> KnownIssue:
    patterns = tuple(re.compile(text) for text in signatures)
    return KnownIssue(name, "", "", releases, patterns, 1.0, Case(Go()))


QUERIES = issue("go#2", "divergence: (cached|asked) queries")
BOUNDS = issue("go#3", "divergence: restored (lo|hi)", "fatal: fatal error: split in runtime.a.*")
ISSUES = (QUERIES, BOUNDS)
INSIDE, OUTSIDE = "1.23.4", "1.23.5"


def test_a_pass_is_a_pass() -> None:
    found = verdict(outcome(Kind.PASSED, headline="passed"), INSIDE, ISSUES)
    assert (found.status, found.issues) == ("passed", ())


def test_what_only_known_issues_explain_is_known() -> None:
    both = outcome(Kind.DIVERGENCE, divergence(Rule.CACHED, "queries"), divergence(Rule.RESTORED, "hi", 3))
    found = verdict(both, INSIDE, ISSUES)
    assert (found.status, found.issues) == ("known", ("go#2", "go#3"))


def test_a_known_death_is_known() -> None:
    died = outcome(Kind.FATAL, headline="fatal error: split", frames=("runtime.a", "runtime.b"))
    found = verdict(died, INSIDE, ISSUES)
    assert (found.status, found.issues) == ("known", ("go#3",))


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
    everything = issue("go#4", ".*")
    seen = outcome(Kind.HARNESS, divergence(Rule.CACHED, "queries"), headline="ours")
    assert verdict(seen, INSIDE, (everything,)).status == "failed"


def test_a_signature_must_match_whole() -> None:
    # "restored lo" is no excuse for "restored lockedInt".
    seen = outcome(Kind.DIVERGENCE, divergence(Rule.RESTORED, "lockedInt"))
    assert verdict(seen, INSIDE, ISSUES).status == "failed"


def test_only_the_first_signature_is_what_the_proof_shows() -> None:
    died = outcome(Kind.FATAL, headline="fatal error: split", frames=("runtime.a",))
    assert not BOUNDS.shown_by(died)
    assert BOUNDS.matches(died.signature)
    assert BOUNDS.shown_by(outcome(Kind.DIVERGENCE, divergence(Rule.RESTORED, "lo")))
