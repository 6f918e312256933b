"""starlark-go: an interpreter whose print function may be Python's."""

import starlark_go
from stacks import on_another_stack

interpreter = starlark_go.Starlark()


def call() -> None:
    assert interpreter.eval("[n * n for n in range(4)]") == [0, 1, 4, 9]


def own() -> None:
    """With an interpreter of its own, as threads need one."""
    assert starlark_go.Starlark().eval("6 * 7") == 42


def print_evaluates() -> None:
    """The print function evaluates on the same stack."""
    printed = []
    starlark_go.Starlark(print=lambda text: printed.append(interpreter.eval(text))).exec('print("6 * 7")')
    assert printed == [42]


def print_evaluates_elsewhere() -> None:
    """The print function evaluates on another stack, as a coroutine of C would."""
    printed = []
    function = starlark_go.Starlark(
        print=lambda text: on_another_stack(lambda: printed.append(interpreter.eval(text)))
    )
    function.exec('print("6 * 7")')
    assert printed == [42]
