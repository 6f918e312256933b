"""What golib found in Go and what it knows of: without its cause, no fault of the list shows.

known_issues.toml has for each its proof, which test_known_issues.py runs, and its controls.  Beside these,
each part of the cause is taken out of the proof, one at a time.
"""

from __future__ import annotations

import pytest

from golib.judge import known

CONTROLS = [
    *(
        (issue, f"control {number}", control)
        for issue in known.shipped()
        for number, control in enumerate(issue.controls, 1)
    ),
    *(
        (issue, what, case)
        for issue in known.shipped()
        for what, case in known.without_a_part(issue)
        if case not in issue.controls
    ),
]

REPEATS = 20
"""Runs of a control of what shows at a rate: a fault still there at a rate of 0.2 would be missed once in
a hundred times (0.8**20)."""


@pytest.mark.parametrize(
    ("issue", "what", "case"),
    [
        pytest.param(
            issue, what, case, id=f"{issue.id}-{what}", marks=pytest.mark.slow if issue.rate < 1 else ()
        )
        for issue, what, case in CONTROLS
    ],
)
def test_without_its_cause_it_does_not_show(check, toolchain, issue, what, case):
    if not issue.affects(toolchain.version):
        pytest.skip(
            f"{toolchain.version} is not in the range of {issue.id}; name a release of {issue.releases}"
        )
    for _ in range(REPEATS if issue.rate < 1 else 1):
        outcome = check.look(case)
        # An older release may come to the same by another fault of the list, whose cause stands in the case.
        if issue.touched_by(outcome) and not check.explained(outcome):
            pytest.fail(f"{issue.id} shows {what}: {case!r} came to {outcome.signature}", pytrace=False)
        check.judge(outcome)
