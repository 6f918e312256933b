"""Words that make sense together only, put into a case that the grammar has made: a coroutine that is left
must be resumed, a signal that Go asked for is sent before it is taken, a switch is turned on and then off.

Where they end up is checked by ``legality``, as a size is.

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from golib.case import calltree
from golib.case.calltree import (
    GC,
    AtEnd,
    C,
    Case,
    Fault,
    Give,
    Go,
    Ignore,
    Next,
    Node,
    Notify,
    Pull,
    Reset,
    Resume,
    Signal,
    Stack,
    Stop,
    Suspend,
    Take,
    Thread,
    TurnOff,
    TurnOn,
)

Choose = Callable[[Sequence[Any]], Any]
"""As in ``golib.case.grammar``."""
Phrase = Sequence[Node]
"""Nodes that stand in this order below one C frame, others between them."""


def _relayed(choose: Choose) -> Phrase:
    name = choose(calltree.RELAYED)
    sent = Signal(name=name)
    stop, reset = Stop(name=name), Reset(name=name)
    back = choose((Go(stop), Go(reset), Go(stop, reset)))
    first = choose((Go(Notify(name=name)), Go(Notify(name=name), GC())))
    return first, choose((sent, Thread(C(sent)))), Go(Take(name=name)), back


def _ignored(choose: Choose) -> Phrase:
    name = choose(calltree.RELAYED)
    return Go(Ignore(name=name)), Signal(name=name), Go(Reset(name=name))


def _switched(choose: Choose) -> Phrase:
    name = choose(tuple(switch for switch in calltree.SWITCHES if switch != "notify"))
    return Go(TurnOn(name=name)), Go(TurnOff(name=name))


def _pulled(choose: Choose) -> Phrase:
    name = choose(("a", "b"))
    given = choose((Give(), C(Go(), stack=8192), C(Go(Give())), Go(Give())))
    made = Pull(C(Go()), given, name=name)
    return Go(made), choose((Go(Next(name=name)), C(Go(C(Go(Next(name=name)))))))


def _faulted(choose: Choose) -> Phrase:
    fault = Fault(kind=choose(calltree.FAULTS))
    return (
        choose((Go(fault, recover=True), Go(C(Go()), fault, recover=True), Go(C(Go(fault)), recover=True))),
    )


def _ends(choose: Choose) -> Phrase:
    end = AtEnd(choose((Go(), C(Go(GC()), stack=8192), C())), round=choose((1, 2, 3)))
    return (Thread(C(*choose(((), (Go(),))), end), kind=choose(("native", "memory"))),)


def _waits(choose: Choose) -> Phrase:
    region = choose(calltree.REGIONS)
    waits = choose((C(Suspend()), Go(C(Suspend())), Go(C(Suspend(), Go())), C(Go(), Suspend(), Go(GC()))))
    return Stack(waits, region=region), Resume(region=region)


def _handled(choose: Choose) -> Phrase:
    """With a name that can have no such handler the case is refused, as any other is."""
    handled = Signal(C(), name=choose(tuple(calltree.HANDLED)))
    return tuple(choose(((handled,), (Go(), handled), (Go(C(handled)),), (handled, Go(), handled))))


def _given_back(choose: Choose) -> Phrase:
    """The host's handler runs again when os/signal is asked no longer."""
    name = choose(calltree.RELAYED)
    asked, handled = Go(Notify(name=name)), Signal(C(), name=name)
    back = choose((Go(Reset(name=name)), Go(Stop(name=name)), Go(Stop(name=name), Reset(name=name))))
    return tuple(choose(((asked, back, handled), (handled, asked, back, handled))))


# NoCallback is in none: what follows it on today's releases is golib-15's, whatever it is.
PHRASES = (_relayed, _ignored, _switched, _pulled, _pulled, _faulted, _ends, _waits)

HOSTS = (_handled, _handled, _given_back)
"""Where the world says how the host installs its handlers."""


WORDS = frozenset(
    (AtEnd, Fault, Give, Ignore, Next, Notify, Pull, Reset, Resume, Stop, Suspend, Take, TurnOff, TurnOn)
)
"""The kinds that are drawn as part of a phrase only."""


def into(case: Case, choose: Choose, most: int) -> Case:
    """The case with one of the phrases in it, in one of its C frames or in a new one, where it has at most
    ``most`` nodes then."""
    placed = list(case.walk())
    places = tuple(one.number for one in placed if isinstance(one.node, C) and one.node.times == 1)
    phrase = choose(HOSTS if case.handlers and choose((True, True, False)) else PHRASES)(choose)
    if len(placed) + Case(*phrase).size() + (not places) > most:
        return case
    if not places:
        return case.having(*case.trees, C(*phrase))
    here = placed[choose(places)]
    trees = list(case.trees)
    made: Node = C(*_mixed(here.node.body, phrase, choose), **here.node.properties())
    while here.parent is not None:
        above = placed[here.parent]
        made = above.node.having(int(here.path.rpartition(".")[2]), made)
        here = above
    trees[int(here.path)] = made
    return case.having(*trees)


def _mixed(body: Sequence[Node], phrase: Phrase, choose: Choose) -> tuple[Node, ...]:
    """Both, each in its order."""
    mixed: list[Node] = []
    left, right = list(body), list(phrase)
    while left or right:
        first = choose((True, False)) if left and right else bool(left)
        mixed.append((left if first else right).pop(0))
    return tuple(mixed)


def since(case: Case) -> str:
    """The first Go release that has all that is in it; empty where each has."""
    needed = [placed.node.since for placed in case.walk() if placed.node.since]
    return max(needed, key=lambda release: tuple(map(int, release.split("."))), default="")
