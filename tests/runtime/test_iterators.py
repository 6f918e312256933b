"""iter.Pull across callbacks: its documentation excludes calls of next at the same time, and no others."""

import pytest

from golib import GC, C, Give, Go, Next, Panic, Pull, Python, Stack, Thread, Traceback

PLACES = {
    "main": lambda *body: Go(*body),
    "thread": lambda *body: Thread(Go(*body)),
    "go-thread": lambda *body: Go(Thread(*body, kind="go")),
    "nested": lambda *body: Go(C(Go(*body)), GC()),
    "foreign": lambda *body: C(Go(), Stack(Go(*body))),
}


@pytest.mark.parametrize("place", PLACES)
def test_in_one_callback(check, place):
    check(PLACES[place](Pull(C(Go(GC())), Give(), GC(), Give(), C(Go())), Next(), C(Go()), Next(), Next()))


def test_in_one_callback_after_another(check):
    check(C(Go(Pull(C(Go()), Give(), Traceback())), Go(Next()), Go(C(Go())), Go(Next()), Go()))


def test_one_inside_the_other(check):
    check(Go(Pull(Give(), Next(name="b"), Give(), name="a"), Pull(C(Go()), name="b"), Next(), Next(), Next()))


def test_a_panic_inside_that_is_recovered(check):
    check(Go(Pull(Go(C(Go(Panic())), recover=True), Give(), C(Go())), Next(), Next()))


@pytest.mark.parametrize(
    "tree",
    [
        Go(Pull(Give()), C(Go(Next())), Next()),
        Go(Pull(Give()), Python(Go(Next()))),
        Go(Pull(C(Go(Give()))), Next(), Next()),
        C(Go(Pull(Give())), Thread(Go(Next()))),
        Go(Pull(Give()), Thread(Next(), kind="go")),
    ],
    ids=["next-in-a-nested", "below-python", "given-in-a-nested", "on-another-thread", "on-a-thread-of-gos"],
)
def test_across_callbacks(check, tree):
    check(tree)
