"""``golib bisect``: the way through releases that leave the main line, the way through commits, and what it
refuses."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from golib import bisection, commands
from golib.judge import known
from golib.toolchains import checkout
from golib.toolchains.toolchain import SpecError, version_key

NEWEST = {"1.21": "1.21.13", "1.22": "1.22.12", "1.23": "1.23.12", "1.24": "1.24.13", "1.25": "1.25.14"}


@pytest.mark.parametrize(
    ("issue", "older", "newer", "changes"),
    [
        ("go#72870", "1.24.0", "1.24.4", ["1.24.1 1.24.2"]),
        # Absent in 1.23.8 and there in 1.24.0: it never went from the main line in between.
        ("go#72870", "1.23.8", "1.24.0", ["1.23.7 1.23.8"]),
        ("go#72870", "1.22.0", "1.25.0", ["1.24.0 1.25.0", "1.24.1 1.24.2"]),
        ("go#68587", "1.22.0", "1.23.4", ["1.22.0 1.23.0", "1.22.4 1.22.5"]),
        ("go#68587", "1.22.12", "1.24.0", ["1.23.0 1.24.0", "1.23.4 1.23.5"]),
        ("go#68587", "1.23.4", "1.23.5", ["1.23.4 1.23.5"]),
        ("golib-8", "1.25.0", "1.26.0", ["1.25.0 1.26.0"]),
        ("golib-1", "1.22.3", "1.23.7", ["1.23.4 1.23.5"]),
    ],
)
def test_it_finds_where_it_changed(issue: str, older: str, newer: str, changes: list[str]) -> None:
    [wanted] = [one for one in known.shipped() if one.id == issue]
    asked = []

    def shows(version: str) -> bool:
        asked.append(version)
        return wanted.affects(version)

    def newest(version: str) -> str:
        return NEWEST[version.rpartition(".")[0]]

    found = bisection.search(older, newer, shows, newest)
    assert sorted(f"{left} {right}" for left, right, _ in found) == sorted(changes)
    assert all(version_key(one) >= version_key("1.22.0") for one in asked)


def test_what_says_nothing_is_passed_over_and_named() -> None:
    silent = {"1.24.3", "1.24.4", "1.24.6"}

    def shows(version: str) -> bool | None:
        return None if version in silent else version_key(version) >= version_key("1.24.5")

    assert bisection.search("1.24.0", "1.24.9", shows, str) == [("1.24.2", "1.24.5", ["1.24.3", "1.24.4"])]


def test_a_rate_says_how_often_it_must_pass() -> None:
    assert bisection._runs(1.0) == bisection.SURE
    assert (1 - 0.04) ** bisection._runs(0.04) <= bisection.MISSED < (1 - 0.04) ** (bisection._runs(0.04) - 1)


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("top", ["", "src"])
def test_commits_are_searched_in_a_clone(top: str, tmp_path: Path) -> None:
    """The repository is a whole GOROOT, or its src; a commit that says nothing is passed over."""
    repository = tmp_path / "go"
    file = repository / "src" / "runtime" / "cgocall.go"
    file.parent.mkdir(parents=True)
    (repository / "src" / "make.bash").touch()
    git(repository / top, "init", "-q")
    for number in range(10):
        file.write_text(f"{number}\n")
        git(repository / top, "add", "-A", ".")
        git(repository / top, "commit", "-qm", f"commit {number}")
    clone = checkout.clone(repository, tmp_path, None)
    script = "n = int(open('runtime/cgocall.go').read()); exit(125 if n == 5 else n >= 6)"
    command = ["sh", "-c", f'cd {clone.goroot / "src"} && {sys.executable} -c "{script}"']
    clone.bisect(clone.commit("HEAD~9"), clone.commit("HEAD"), command)
    # Number 5 was passed over, and 4 is good: it is one of these two.
    assert [clone.title(one).split()[-1] for one in clone.last()] == ["6", "5"]
    assert file.read_text() == "9\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo compiling; echo too bad >&2; exit 3", "make.bash: exit status 3: compiling too bad"), ("", "")],
)
def test_a_commit_may_be_built_by_its_own_make_bash(script: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "make.bash").write_text(script)
    if said:
        with pytest.raises(checkout.CommitError, match=re.escape(said)):
            checkout.prepare(tmp_path, None)
    else:
        checkout.prepare(tmp_path, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["golib-99", "--good", "1.24.0", "--bad", "1.24.1"], "golib-99: no known issue has this id"),
        (["Case(Go(", "--good", "1.24.0", "--bad", "1.24.1"], "Case(Go("),
        (["golib-1", "--good", "foo", "--bad", "1.24.1"], "foo: not a Go toolchain"),
        (["golib-1", "--good", "go", "--bad", "1.24.1"], "go: golib bisect takes releases, such as 1.24.0"),
        (["golib-1", "--good", "go1.24.13", "--bad", "1.24.13"], "both ends are 1.24.13; name two releases"),
        (["golib-1", "--good", "1.24.0", "--bad", "1.24.1", "--go", "go"], "--go go: it compiles commits"),
        (["golib-1", "--good", "a", "--bad", "b", "--goroot", "/nowhere"], "/nowhere: it has no src/runtime"),
        (["Case(Python(call='a:b'))", "--good", "1.24.0", "--bad", "1.24.1"], "golib bisect runs no tests"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["bisect", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_what_is_no_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "go" / "src" / "runtime").mkdir(parents=True)
    with pytest.raises(SpecError, match="it is no git repository"):
        checkout.clone(tmp_path / "go", tmp_path, None)
