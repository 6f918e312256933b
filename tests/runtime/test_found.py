"""What golib found in Go, one test each: the case, which is known and shows as such, beside controls: the
same case without the cause, which pass.  known_issues.toml explains each."""

from __future__ import annotations

import pytest

from golib import parse

FOUND = {
    "golib-1": [
        "Case(Go(Stack(Go()), recover=True))",  # no panic
        "Case(Go(C(Go(Panic())), recover=True))",  # on its own stack, whose bounds are known
    ],
    "golib-3": [
        "Case(Thread(Stack(Go())))",  # no trace
        "Case(Thread(Go(), Stack(Go())), on=('trace',))",  # its first callback comes from its own stack
        "Case(Thread(Stack(Go(), region=-1)), on=('trace',))",  # the other stack lies below
    ],
    "golib-4": [
        # no trace
        "Case(Go(Thread(Go(Panic()), kind='go', recover=True, deferred=(GC(),))))",
        # no frame pointers
        "Case(Go(Thread(Go(Panic()), kind='go', recover=True, deferred=(GC(),))), on=('trace',),"
        " godebug='tracefpunwindoff=1')",
        # no callback
        "Case(Go(Thread(Panic(), kind='go', recover=True, deferred=(GC(),))), on=('trace',))",
        # on a thread that C made, whose M says that there is C on its stack
        "Case(Go(Go(Panic()), recover=True, deferred=(GC(),)), on=('trace',))",
    ],
    "go#62130": [
        "Case(Go(Thread(C(Go(GC())), kind='go')))",  # on the thread's own stack
        "Case(Go(Stack(Go(GC()), region=-1)))",  # on a thread that C made
    ],
}

CONTROLS = [(issue, control) for issue, controls in FOUND.items() for control in controls]


@pytest.mark.parametrize(("issue", "control"), CONTROLS)
def test_without_its_cause_it_does_not_show(check, issue, control):
    check.case(parse(control))
