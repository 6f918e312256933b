"""The changes that would mend known issues: each stands for one, and is in the text of the newest release."""

from __future__ import annotations

import pytest

from golib.judge import known
from golib.toolchains.toolchain import resolve
from tools import __main__ as tools
from tools import fix, mutant

FIXES = mutant.load(fix.FIXES)


@pytest.mark.parametrize("change", FIXES, ids=[change.id for change in FIXES])
def test_it_changes_the_newest_release_and_mends_an_issue_that_is_there(change: mutant.Mutant) -> None:
    [newest], _ = resolve(["1.27.4"])
    assert change.fits(newest)
    assert change.texts(newest)
    issue = next(issue for issue in known.shipped() if issue.id == change.id)
    assert issue.affects(newest.version)


def test_one_that_there_is_not_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert tools.main(["fix", "golib-99"]) == 2
    said = capsys.readouterr().err
    assert said == "golib-99: tools/fixes has no change for it; there are golib-1, golib-21, golib-22\n"
