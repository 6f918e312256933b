"""The mutants and the tool that judges them: what counts as a kill, what as an error, what is kept.

The suite itself is not run here; where pytest is, it is asked for something small.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from golib.toolchains import build
from golib.toolchains.toolchain import Toolchain, resolve
from tools import mutant as mutants
from tools import mutate
from tools.__main__ import main as dispatch
from tools.mutant import DoesNotApply, Edit, Mutant, MutantError
from tools.mutate import Failure, Judge, Row, Stage, State, Stop

CGOCALL = "src/runtime/cgocall.go"
RESTORE = "gp.m.g0StackAccurate = oldAccurate\n"
TWICE = "stackguard0"

# What the change touches in the runtime; its other hunks are tests and comments.
HUNKS = {
    "callbackUpdateSystemStack: throw",
    "callbackUpdateSystemStack: isextra",
    "callbackUpdateSystemStack: cache",
    "callbackUpdateSystemStack: estimate",
    "callbackUpdateSystemStack: flag",
    "callbackUpdateSystemStack: query",
    "callbackUpdateSystemStack: bounds",
    "callbackUpdateSystemStack: guards",
    "cgocallbackg: save",
    "cgocallbackg: update",
    "cgocallbackg: restore",
    "dropm: clear",
    "needm: update",
    "m: g0StackAccurate",
    "host: os/signal",
    "x_cgo_getstackbound: fallback",
}


@pytest.fixture(scope="module")
def go() -> Toolchain:
    """The go on PATH."""
    return resolve([])[0][0]


def with_edit(find: str, replace: str = "", *, name: str = "planted", **properties: Any) -> Mutant:
    return Mutant(name, "a hunk", "a reason", (Edit(CGOCALL, find, replace),), **properties)


@pytest.fixture(scope="module")
def hand_written() -> list[Mutant]:
    return mutants.load()


# The mutants.


def test_every_hunk_has_a_mutant(hand_written: list[Mutant]) -> None:
    assert {mutant.hunk for mutant in hand_written} == HUNKS
    assert len(hand_written) >= 34


def test_every_mutant_says_why_it_matters(hand_written: list[Mutant]) -> None:
    assert not [mutant.id for mutant in hand_written if len(mutant.why) < 40]


def test_an_equivalent_mutant_has_a_proof(hand_written: list[Mutant]) -> None:
    claimed = [mutant for mutant in hand_written if mutant.equivalent]
    assert claimed
    assert not [mutant.id for mutant in claimed if len(mutant.equivalent) < 100]


def test_every_behaviour_is_a_file_of_the_suite(hand_written: list[Mutant]) -> None:
    named = {name for mutant in hand_written for name in mutant.behaviour}
    assert named
    assert not {name for name in named if not (mutate.RUNTIME / name).exists()}


def test_each_applies_in_exactly_one_place(hand_written: list[Mutant], go: Toolchain) -> None:
    fitting = [mutant for mutant in hand_written if mutant.fits(go)]
    for mutant in fitting:
        assert mutant.texts(go), mutant.id
    texts = [sorted(mutant.texts(go).items()) for mutant in fitting]
    assert all(texts.count(text) == 1 for text in texts), "two mutants are the same"


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("1.23.4", False),
        ("1.23.5", True),
        ("1.24rc1", True),
        ("1.27rc1", True),
        ("devel go1.23-abc123", True),
        ("devel go1.22-abc123", False),
    ],
)
def test_a_release_is_compared_in_gos_order(version: str, fits: bool) -> None:
    planted = with_edit(RESTORE, releases=SpecifierSet(">=1.23.5"))
    assert planted.fits(Toolchain(version, version, Path("nowhere"))) is fits


@pytest.mark.parametrize(
    ("version", "file"),
    [("1.26.8", "gcc_stack_unix.c"), ("1.27rc1", "pthread_unix.c"), ("1.27.3", "pthread_unix.c")],
)
def test_the_fallback_is_looked_for_where_the_release_has_it(
    hand_written: list[Mutant], tmp_path: Path, version: str, file: str
) -> None:
    (mutant,) = [mutant for mutant in hand_written if mutant.id == "fallback-guesses-default"]
    source = tmp_path / "src" / "runtime" / "cgo" / file
    source.parent.mkdir(parents=True)
    source.write_text("\taddr = 0;\n\tsize = 0;\n")
    (path,) = mutant.texts(Toolchain(version, version, tmp_path))
    assert path == source


@pytest.mark.parametrize(("find", "count"), [("no such text", 0), (TWICE, 4)])
def test_an_edit_must_apply_exactly_once(go: Toolchain, find: str, count: int) -> None:
    with pytest.raises(DoesNotApply, match=f"{count} times"):
        with_edit(find, "x").texts(go)


def test_an_edit_that_changes_nothing_does_not_apply(go: Toolchain) -> None:
    with pytest.raises(DoesNotApply, match="changes anything"):
        with_edit(RESTORE, RESTORE).texts(go)


def test_an_overlay_replaces_the_file_and_nothing_else(go: Toolchain, tmp_path: Path) -> None:
    overlay = with_edit(RESTORE).write(go, tmp_path)
    build.check_overlay(overlay)
    ((target, source),) = json.loads(overlay.read_text())["Replace"].items()
    original = (go.goroot / CGOCALL).read_text()
    assert target == str(go.goroot / CGOCALL)
    assert Path(source).read_text() == original.replace(RESTORE, "")


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("broken", "id = ", "is not TOML"),
        ("short", 'id = "short"', "is no mutant: 'edit'"),
        ("other", 'id = "x"\nhunk = "h"\nwhy = "w"\nreleases = ""\nedit = []', "must be its file's name"),
        ("extra", 'id = "extra"\nhunk = "h"\nwhy = "w"\nreleases = ""\nedit = []\nfoo = 1', "is no mutant"),
        ("when", 'id = "when"\nhunk = "h"\nwhy = "w"\nreleases = "new"\nedit = []', "is no mutant"),
        (
            "odd",
            'id = "odd"\nhunk = "h"\nwhy = "w"\nreleases = ""\nedit = []\nflavour = "sour"',
            "one of real, absent",
        ),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    (tmp_path / f"{name}.toml").write_text(text)
    with pytest.raises(MutantError, match=complaint) as caught:
        mutants.load(tmp_path)
    assert str(tmp_path / f"{name}.toml") in str(caught.value)


# Generated ones.


SOURCE = """\
package runtime

func touched(n int) bool {
\tx := n
\tif n < 8 && x != 0 { // a comment
\t\tuse(x, nil)
\t\tx--
\t}
\tx = 2
\tx = 2
\treturn true
}

func untouched(n int) bool { return n < 8 }
"""


@pytest.fixture(scope="module")
def made(go: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The changed source, by the id of the mutant."""
    goroot = tmp_path_factory.mktemp("source")
    (goroot / "touched.go").write_text(SOURCE)
    made = mutants.gomutate(go, goroot / "touched.go", ("touched",))
    there = Toolchain("here", go.version, goroot)
    texts = {}
    for data in made:
        mutant = mutants.from_gomutate("touched.go", data)
        (text,) = mutant.texts(there).values()
        texts[mutant.id] = text.decode()
    return texts


@pytest.mark.parametrize(
    ("mutant", "before", "after"),
    [
        ("negate/n < 8 && x != 0", "n < 8 && x != 0", "!(n < 8 && x != 0)"),
        ("shift/n < 8", "n < 8 &&", "n <= 8 &&"),
        ("swap/n < 8 && x != 0", "n < 8 && x != 0", "(n < 8 || x != 0)"),
        ("drop/use(x, nil)", "use(x, nil)", "_ = x"),
        ("drop/x--", "x--", ""),
        ("drop/x = 2", "x = 2", "_ = 2"),
        ("double/8 in if n < 8 && x != 0 {", "n < 8 &&", "n < 16 &&"),
        ("increment/0 in if n < 8 && x != 0 {", "x != 0", "x != 1"),
        ("swap/true in return true", "return true", "return false"),
    ],
)
def test_a_rule_changes_one_thing(made: dict[str, str], mutant: str, before: str, after: str) -> None:
    assert made[f"touched/{mutant}"] == SOURCE.replace(before, after, 1)


def test_a_variable_that_begins_as_zero_keeps_its_type(made: dict[str, str]) -> None:
    text = made["touched/zero/x := n"]
    assert "x := golibZero(n)" in text
    assert text.endswith("func golibZero[T any](T) (zero T) { return }\n")


def test_the_same_text_again_is_another_mutant(made: dict[str, str]) -> None:
    assert made["touched/drop/x = 2 #2"] == SOURCE.replace("\tx = 2\n\treturn", "\t_ = 2\n\treturn")


def test_other_functions_are_left_alone(made: dict[str, str]) -> None:
    assert all(text.partition("func untouched")[2].startswith("(n int)") for text in made.values())
    assert all("untouched" not in name for name in made)


def test_the_functions_of_the_change_are_all_mutated(go: Toolchain) -> None:
    made = mutants.generated(go)
    functions = [name for names in mutants.FUNCTIONS.values() for name in names]
    assert {mutant.hunk for mutant in made} == set(functions)
    assert len({mutant.id for mutant in made}) == len(made)
    for mutant in made:
        assert mutant.texts(go), mutant.id


def test_every_generated_mutant_called_equivalent_exists(go: Toolchain) -> None:
    assert set(mutants.equivalents()) <= {mutant.id for mutant in mutants.generated(go)}


# What is a kill.


def result(status: str, kind: str | None, headline: str = "", raised: str = "Failed") -> dict[str, Any]:
    outcome = None if kind is None else {"kind": kind, "signature": f"{kind}: s", "headline": headline}
    raised = raised if status == "failed" else ""
    return {"test": "tests/runtime/test_x.py::test_y", "status": status, "outcome": outcome, "raised": raised}


@pytest.mark.parametrize("kind", ["divergence", "fatal", "signal", "hang", "lost"])
def test_what_go_did_is_a_kill(kind: str) -> None:
    document = {"results": [result("passed", "passed"), result("failed", kind, "words")]}
    assert mutate.first_failure(document) == Failure("tests/runtime/test_x.py::test_y", f"{kind}: s", "words")


def test_a_tests_own_assertion_about_a_case_that_ran_is_a_kill() -> None:
    rows = [result("failed", "passed", raised="AssertionError")]
    failure = mutate.first_failure({"results": rows})
    assert failure is not None
    assert failure.field == "assertion"


@pytest.mark.parametrize(
    "row",
    [
        result("failed", "harness"),
        result("failed", None),
        # golib's own exceptions, in a test whose case has run.
        result("failed", "passed", raised="AttributeError"),
        result("failed", "fatal", raised="ServerError"),
        result("known", "fatal"),
        result("passed", "passed"),
        result("skipped", None),
    ],
)
def test_all_else_is_none(row: dict[str, Any]) -> None:
    assert mutate.first_failure({"results": [row]}) is None


def test_an_issue_that_vanished_is_named_where_nothing_else_was_noticed() -> None:
    rows = [result("passed", "passed") | {"gone": names} for names in (["golib-4"], [], ["golib-1"])]
    assert mutate.vanished({"results": rows}) == Failure(mutate.GONE, "golib-1, golib-4", "")
    assert mutate.vanished({"results": [result("passed", "passed")]}) is None


def test_a_run_of_pytest_that_cannot_begin_is_no_verdict(go: Toolchain) -> None:
    with pytest.raises(Stop, match=r"pytest ended with 4 and blames nothing on Go: .*no-such-option"):
        mutate.run_stage(go, Stage((Path(__file__),), ("--no-such-option",)), None)


# What becomes of a mutant, the build and the suite being stood in for.


KILL = Failure("tests/runtime/test_x.py::test_y", "divergence: restored lo", "lo is 1, expected 2")


def tagged(name: str, **properties: Any) -> Mutant:
    """One that tells its name to the suite below."""
    return with_edit(RESTORE, f"{RESTORE}\t// mutant {name}\n", name=name, **properties)


real_build = build.build


class Suite:
    """Says what a mutant's run comes to, and keeps the runs."""

    def __init__(self) -> None:
        self.answers: dict[str, Failure | BaseException] = {}
        self.runs: list[tuple[str, Stage]] = []

    def build(self, toolchain: Toolchain, **_: Any) -> None: ...

    def run_stage(self, toolchain: Toolchain, stage: Stage, overlay: Path | None) -> Failure | None:
        text = "" if overlay is None else (overlay.parent / "0-cgocall.go").read_text()
        match = re.search(r"// mutant (\w+)", text)
        name = match[1] if match else "unmutated"
        self.runs.append((name, stage))
        answer = self.answers.get(name)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def judged(self) -> list[str]:
        """Each once, in order."""
        return list(dict.fromkeys(name for name, _ in self.runs))


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> Suite:
    suite = Suite()
    monkeypatch.setattr(build, "build", suite.build)
    monkeypatch.setattr(mutate, "run_stage", suite.run_stage)
    # A minute of compiling, for tests that do not run here.
    monkeypatch.setattr(Judge, "_warm", lambda judge, gocache: None)
    return suite


Judging = Callable[..., list[Row]]


@pytest.fixture
def judge(go: Toolchain, tmp_path: Path) -> Judging:
    """Judges as a new process would, with the state that others have left."""

    def judge(*chosen: Mutant, prove: bool = False, fuzz_only: int | None = None) -> list[Row]:
        state = State(tmp_path / "state" / "some.jsonl")
        return Judge(go, state, fuzz_only, deepstack=False).judge_all(chosen, prove=prove)

    return judge


def test_the_verdicts(suite: Suite, judge: Judging) -> None:
    suite.answers = {"caught": KILL, "broken": Stop("pytest ended with 3")}
    rows = judge(
        tagged("caught"),
        tagged("missed"),
        tagged("same", equivalent="a proof"),
        tagged("broken"),
        with_edit("no such text", name="lost"),
        with_edit(TWICE, name="twice"),
    )
    assert [(row.mutant, row.verdict) for row in rows] == [
        ("caught", "killed"),
        ("missed", "SURVIVED"),
        ("same", "EQUIVALENT"),
        ("broken", "ERROR"),
        ("lost", "DOES NOT APPLY"),
        ("twice", "DOES NOT APPLY"),
    ]
    assert (rows[0].test, rows[0].field, rows[0].detail) == (KILL.test, KILL.field, KILL.headline)
    assert "pytest ended with 3" in rows[3].detail


def test_a_mutant_that_does_not_compile_is_an_error(
    suite: Suite, judge: Judging, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_in_the_users_cache(toolchain: Toolchain, **options: Any) -> None:
        # An empty one, as the tool takes, would compile half a minute before it came to the mutant.
        os.environ.pop("GOCACHE", None)
        if "overlay" in options:
            real_build(toolchain, **options)

    monkeypatch.setattr(build, "build", compile_in_the_users_cache)
    (row,) = judge(with_edit(RESTORE, "no Go\n"))
    assert row.verdict == "DOES NOT COMPILE"
    assert "cgocall.go" in row.detail


@pytest.mark.parametrize("answer", [KILL, Stop("pytest ended with 4: lo is 1, expected 2")])
def test_a_suite_that_fails_unmutated_judges_none(
    suite: Suite, judge: Judging, answer: Failure | Stop
) -> None:
    suite.answers = {"unmutated": answer}
    with pytest.raises(Stop, match=r"fails without a mutant.*lo is 1, expected 2"):
        judge(tagged("caught"))
    assert suite.judged() == ["unmutated"]


def test_its_own_behaviour_is_asked_first_and_the_fuzzer_last(suite: Suite, judge: Judging) -> None:
    judge(tagged("missed", behaviour=("test_panic.py",)))
    stages = [[path.name for path in stage.files] for name, stage in suite.runs if name == "missed"]
    assert stages[0] == ["test_panic.py"]
    everything = [name for stage in stages for name in stage]
    assert sorted(everything) == sorted(path.name for path in mutate.RUNTIME.glob("test_*.py"))
    if mutate.FUZZER.exists():
        assert stages[-1] == ["test_fuzz.py"]


def test_the_first_failure_ends_it(suite: Suite, judge: Judging) -> None:
    suite.answers = {"caught": KILL}
    judge(tagged("caught", behaviour=("test_panic.py",)))
    assert [name for name, _ in suite.runs].count("caught") == 1


def test_the_fuzzer_alone(go: Toolchain, tmp_path: Path) -> None:
    (nothing_restored,) = mutate.choose(go, ["nothing-restored"], generated=False)
    overlay = nothing_restored.write(go, tmp_path)
    assert mutate.fuzz_alone(build.build(go), 30) is None
    failure = mutate.fuzz_alone(build.build(go, overlay=overlay), 30)
    assert failure is not None
    assert re.fullmatch(r"divergence: (restored \w+|needm lo)", failure.field)
    assert 0 < failure.cases <= 30


def test_the_fuzzer_alone_asks_no_test(suite: Suite, judge: Judging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutate, "fuzz_alone", lambda library, count: None)
    assert [row.verdict for row in judge(tagged("missed"), fuzz_only=7)] == ["SURVIVED"]
    assert suite.runs == []


def test_a_wrong_proof_is_found_out(suite: Suite, judge: Judging) -> None:
    suite.answers = {"same": KILL}
    same = tagged("same", equivalent="a proof")
    assert [row.verdict for row in judge(same)] == ["EQUIVALENT"]
    (row,) = judge(same, prove=True)
    assert row.verdict == "KILLED, THOUGH CALLED EQUIVALENT"
    assert row.verdict not in mutate.FINE


# Interrupted, it goes on.


def test_what_was_judged_is_not_judged_again(suite: Suite, judge: Judging) -> None:
    suite.answers = {"caught": KILL, "stopped": KeyboardInterrupt()}
    chosen = [tagged("caught"), tagged("missed"), tagged("stopped"), tagged("later")]
    with pytest.raises(KeyboardInterrupt):
        judge(*chosen)
    assert suite.judged() == ["unmutated", "caught", "missed", "stopped"]
    suite.runs, suite.answers = [], {"stopped": KILL}
    rows = judge(*chosen)
    assert suite.judged() == ["stopped", "later"]
    assert [row.verdict for row in rows] == ["killed", "SURVIVED", "killed", "SURVIVED"]


def test_an_error_is_tried_again(suite: Suite, judge: Judging) -> None:
    suite.answers = {"broken": Stop("a full disk")}
    assert [row.verdict for row in judge(tagged("broken"))] == ["ERROR"]
    suite.answers = {"broken": KILL}
    assert [row.verdict for row in judge(tagged("broken"))] == ["killed"]


def test_a_changed_mutant_is_judged_again(suite: Suite, judge: Judging) -> None:
    judge(tagged("missed"))
    suite.runs = []
    judge(with_edit(RESTORE, "\t// mutant missed\n", name="missed"))
    assert suite.judged() == ["missed"]


def test_half_a_line_does_no_harm(suite: Suite, judge: Judging, tmp_path: Path) -> None:
    judge(tagged("first"))
    path = tmp_path / "state" / "some.jsonl"
    path.write_text(path.read_text() + '{"digest": "12')
    judge(tagged("second"))
    suite.runs = []
    judge(tagged("first"), tagged("second"))
    assert suite.runs == []


def test_a_changed_suite_begins_anew(tmp_path: Path) -> None:
    for name in ("golib/judge/model.py", "tests/runtime/test_x.py", "conftest.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    before = mutate.suite_digest(tmp_path)
    (tmp_path / "README.md").write_text("not of the suite")
    assert mutate.suite_digest(tmp_path) == before
    (tmp_path / "tests/runtime/test_x.py").write_text("changed")
    assert mutate.suite_digest(tmp_path) != before


# The command.


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOLIB_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "no-such"], "--only no-such: no mutant"),
        (["--go", "1.99.0x"], "1.99.0x: not a Go toolchain"),
        (["--go", "/no/such/folder"], "/no/such/folder: no such file or folder"),
        (["--json", "/no/such/folder/r.json"], "--json /no/such/folder/r.json: cannot be written"),
        (["--fuzz-only", "some"], "'some' is no number of cases"),
        (["--fuzz-only", "0"], "'0' is no number of cases"),
        (["--what"], "unrecognized arguments: --what"),
    ],
)
def test_bad_input_is_one_sentence(
    capsys: pytest.CaptureFixture[str], elsewhere: None, arguments: list[str], complaint: str
) -> None:
    try:
        status: Any = mutate.main(arguments)
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr()
    assert status == 2
    assert complaint in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


def test_the_result_as_json(
    suite: Suite, elsewhere: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    assert mutate.main(["--only", "nothing-restored", "--json", str(path)]) == 1
    (one,) = json.loads(path.read_text())["toolchains"]
    (row,) = one["mutants"]
    assert (row["mutant"], row["hunk"], row["verdict"]) == (
        "nothing-restored",
        "cgocallbackg: restore",
        "SURVIVED",
    )
    assert "0 of 1 killed" in capsys.readouterr().out


def test_killed_and_equivalent_ones_are_a_success(
    suite: Suite, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [tagged("caught"), tagged("same", equivalent="a proof")]
    monkeypatch.setattr(mutants, "load", lambda folder: chosen)
    suite.answers = {"caught": KILL}
    assert mutate.main([]) == 0


def test_a_pattern_names_several(go: Toolchain) -> None:
    chosen = mutate.choose(go, ["dropm-keeps-*", "nothing-restored"], generated=False)
    assert {mutant.hunk for mutant in chosen} == {"dropm: clear", "cgocallbackg: restore"}
    assert len(chosen) == 6


@pytest.mark.parametrize("argv", [[], ["no-such"]])
def test_the_dispatcher_names_the_tools(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert dispatch(argv) == 2
    assert "mutate" in capsys.readouterr().err
