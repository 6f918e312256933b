"""The list of known issues, proven: inside an entry's range its proof case shows the fault, outside it
does not."""

from __future__ import annotations

import pytest

from golib.judge import known

ISSUES = [
    pytest.param(issue, id=issue.id, marks=pytest.mark.slow if issue.rate < 1 else ())
    for issue in known.shipped()
]

REPEATS = 7
"""Runs, in units of 1/rate: what shows at its rate is then missed once in a thousand times (e**-7)."""

REPEATS_OUTSIDE = 3
"""The same where an issue must not show: to miss it there makes no run red (e**-3, once in twenty)."""

HANG = 2.5
"""Seconds after which a proof hangs that shows at a rate, or whose issue is a hang; each takes two tenths of
one at most, some more on a busy machine. Others have all the time of a case: Go itself may take five seconds
to die (runtime/panic.go, fatalpanic relays SIGQUIT from thread to thread and waits)."""


@pytest.mark.parametrize("issue", ISSUES)
def test_it_shows_where_the_list_says_and_nowhere_else(check, toolchain, issue):
    version = toolchain.version
    repeats = REPEATS if issue.affects(version) else REPEATS_OUTSIDE
    runs = 1 if issue.rate == 1 else round(repeats / issue.rate)
    outcomes = []
    while len(outcomes) < runs and not (issue.rate < 1 and any(map(issue.shown_by, outcomes))):
        outcomes.append(check.look(issue.proof, HANG if issue.rate < 1 or issue.effect == "hang" else None))
    shown = [issue.shown_by(outcome) for outcome in outcomes]
    check.proven(issue, outcomes)
    shows = all(shown) if issue.rate == 1 else any(shown)
    if not issue.affects(version):
        # Unless another fault of the list, whose cause stands in the proof, comes to the same.
        for outcome in outcomes:
            assert not issue.shown_by(outcome) or check.explained(outcome), (
                f"{issue.id} shows on {version}, which is not in its range"
            )
    elif not shows and not check.official:
        # A runtime that somebody works on: this is what a fix looks like.
        check.gone(issue.id)
    else:
        assert shows, (
            f"{issue.id} does not show on {version}, which is in its range: its proof came to "
            f"{outcomes[0].signature}"
        )
