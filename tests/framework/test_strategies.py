"""The fuzzer's cases: legal, of every kind, and the same for the same seed."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import golib
from golib import fuzz
from golib.case import calltree, grammar, legality, novelty, phrases, strategies
from golib.case.calltree import Case, IllegalCase, Node
from golib.door import flavour
from golib.judge import model
from golib.toolchains.build import FLAVOURS, build


@cache
def drawn() -> list[Case]:
    """Enough that each kind is drawn some dozen times where it is rarest.  Not guided: that chooses from what
    is drawn so, and takes four times as long."""
    return fuzz.generate(4_000, "coverage", guided=False)


def pairs(case: Case) -> set[tuple[str, str]]:
    """Parent and child of each node; what is on top has none."""
    names = {placed.number: type(placed.node).__name__ for placed in case.walk()}
    return {
        ("" if placed.parent is None else names[placed.parent], names[placed.number])
        for placed in case.walk()
    }


def legal_pairs() -> set[tuple[str, str]]:
    """Found by trying: each frame with each child, in the places that make the most legal."""
    on = tuple(calltree.SWITCHES)
    made: dict[str, Node] = {name: kind() for name, kind in calltree.NODES.items() if kind.weight}
    made["Export"] = calltree.Export(name="GoEmpty")
    made["Together"] = calltree.Together(calltree.Thread(), calltree.Thread())
    parents = [name for name in made if issubclass(calltree.NODES[name], calltree.Frame)]
    found = set()
    for child_name, child in made.items():
        trees = [("", child)]
        for parent in parents:
            if parent == "Export":
                trees.append((parent, calltree.Export(child, name="callGoWithVariousStackAndGoFrame")))
                continue
            frame = calltree.NODES[parent](child)
            trees.append((parent, frame))
            if parent == "Thread":
                trees.append((parent, calltree.Thread(child, kind="go")))
        for parent, tree in trees:
            places = [tree, calltree.Go(tree, recover=True), calltree.Go(calltree.Thread(tree, kind="go"))]
            for place in places:
                try:
                    legality.check(Case(place, on=on))
                except IllegalCase:
                    continue
                if (parent, child_name) in pairs(Case(place)):
                    found.add((parent, child_name))
    return found


@given(strategies.cases())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_case_is_legal_small_and_survives_print_and_json(case):
    legality.check(case)
    assert case.size() <= grammar.MAX_NODES
    assert calltree.parse(repr(case)) == case
    assert Case.from_json(case.to_json()) == case


def test_cases_have_as_many_nodes_as_they_may_and_no_more():
    assert max(case.size() for case in drawn()) == grammar.MAX_NODES


def test_no_case_is_drawn_twice():
    assert len(set(drawn())) == len(drawn()) == 4_000


def test_every_kind_of_node_is_drawn():
    seen = Counter(type(placed.node).__name__ for case in drawn() for placed in case.walk())
    phrased = {of.__name__ for of in phrases.WORDS}
    assert set(seen) == {name for name, of in calltree.NODES.items() if of.weight} | phrased
    assert min(seen.values()) >= 10


def test_every_legal_pair_of_parent_and_child_is_drawn():
    seen = set(itertools.chain.from_iterable(pairs(case) for case in drawn()))
    # At the top stands a thread's or a C frame's child: a bare leaf of C, or any frame.
    assert legal_pairs() - seen == set()


def test_every_switch_of_the_world_is_drawn():
    assert {switch for case in drawn() for switch in case.on} == set(calltree.SWITCHES)
    assert {case.godebug for case in drawn()} == set(calltree.GODEBUGS)
    assert {case.signals for case in drawn()} == {"", *calltree.SIGNALS}
    assert {case.blocked for case in drawn()} == {"", *calltree.BLOCKABLE}
    for field in dataclasses.fields(Case):
        if values := field.metadata.get("drawn"):
            assert {getattr(case, field.name) for case in drawn()} == set(values), field.name
    assert {case.bounds for case in drawn()} == {"real", "hidden", "absent"}
    kinds = {
        placed.node.kind
        for case in drawn()
        for placed in case.walk()
        if isinstance(placed.node, calltree.Thread)
    }
    assert kinds == {"native", "python", "memory", "go"}


def test_every_second_case_shows_more_than_one_that_is_drawn_alone():
    def shown(guided: bool) -> tuple[int, int]:
        cases = fuzz.generate(600, "guided", guided=guided)
        assert len(set(cases)) == 600
        pairs = set().union(*map(novelty.pairs, cases))
        return len(pairs), sum(case.size() for case in cases)

    (alone, small), (guided, large) = shown(False), shown(True)
    assert guided > alone * 1.1
    assert guided / large > alone / small  # though more pairs are ever harder to come by
    assert large < small * 1.3


def test_a_case_shows_what_its_script_does_and_no_more():
    small, large = Case(calltree.Go()), Case(calltree.Go(calltree.C(calltree.Go())))
    assert novelty.pairs(small) == novelty.pairs(calltree.parse(repr(small)))
    assert novelty.pairs(large) - novelty.pairs(small)
    assert not novelty.pairs(Case(*large.trees, *small.trees)) >= novelty.pairs(
        Case(calltree.Stack(*large.trees))
    )
    assert novelty.pairs(small.having(bounds="hidden")) != novelty.pairs(small)
    # A size changes no step.
    assert novelty.pairs(Case(calltree.C(stack=16))) == novelty.pairs(Case(calltree.C(stack=512)))


def test_a_host_that_says_how_it_handles_signals_gets_some():
    worlds = {case.handlers for case in drawn() if case.handled()}
    assert worlds == set(calltree.HANDLERS)
    early = [case for case in drawn() if "early" in case.handlers]
    assert sum(bool(case.handled()) for case in early) > len(early) / 2
    # Go's handlers of these two call the host's, which was there before.
    assert {name for case in early for name in case.handled()} >= set(calltree.SYNCHRONOUS)
    asked = [case for case in early if any(isinstance(one.node, calltree.Reset) for one in case.walk())]
    assert any(case.handled() for case in asked)


def test_six_frames_deep_is_drawn():
    frames = 0
    for case in drawn():
        above: dict[int, int] = {}
        for placed in case.walk():
            own = isinstance(placed.node, calltree.Frame)
            above[placed.number] = own + (above[placed.parent] if placed.parent is not None else 0)
        frames = max(frames, *above.values())
    assert frames >= 6


def test_the_cases_of_a_few_shards_exercise_each_rule_of_the_model(go_on_path, testrun_uid):
    subjects = {f: golib.open(build(go_on_path, flavour=f, session=testrun_uid)) for f in FLAVOURS}
    compared: Counter[model.Rule] = Counter()
    waits = [case for case in drawn() if any(isinstance(one.node, calltree.Resume) for one in case.walk())]
    handles = [case for case in drawn() if case.handled()]
    for row in fuzz.rows([*drawn()[:150], *waits[:20], *handles[:20]]):
        for outcome in subjects[flavour(row[0])].run_in_a_row(row):
            compared += model.rules(outcome.case, renumbered(outcome))
    assert set(compared) == set(model.Rule)


def renumbered(outcome):
    """The events of one case of a row, numbered as if it had run alone."""
    first = min((event.node for event in outcome.events), default=0)
    return [event._replace(node=event.node - first) for event in outcome.events]


def test_the_same_seed_draws_the_same_cases_in_another_process():
    script = "from golib import fuzz; print(fuzz.digest(fuzz.generate(50, 'x')))"
    seen = {
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert seen == {fuzz.digest(fuzz.generate(50, "x")) + "\n"}
    assert fuzz.digest(fuzz.generate(50, "y")) + "\n" not in seen


@pytest.mark.parametrize("count", [0, 1, 7])
def test_as_many_are_drawn_as_were_asked_for(count):
    assert len(fuzz.generate(count, "count")) == count


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hypothesis":
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
import pytest
status = pytest.main(["-p", "no:hypothesispytest", *sys.argv[1:]])
# pytest's own hook stands before ours and rewrites what plugins bring.
sys.exit(status or 90 * ("hypothesis" in sys.modules))
"""


def test_the_fuzzer_needs_no_hypothesis(tmp_path, go_on_path):
    shard = f"::test_no_legal_case_breaks_it[{go_on_path.name}-shard=0]"
    suite = Path(__file__).parent.parent / "runtime" / "test_fuzz.py"
    options = ["-q", "-p", "no:cacheprovider", "--golib-fuzz=2", f"--golib-failures={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, f"{suite}{shard}", *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout or "1 xfailed" in done.stdout
    strategies = 'import sys; sys.modules["hypothesis"] = None; import golib.case.strategies'
    done = subprocess.run([sys.executable, "-c", strategies], capture_output=True, text=True)
    assert "pip install 'pytest-golib[hypothesis]'" in done.stderr
