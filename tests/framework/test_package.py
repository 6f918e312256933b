"""``import golib``: the words of a case, what ``open`` takes, and how little is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

import golib
from golib.case import calltree


def test_all_names_are_the_words_of_a_case() -> None:
    names: dict[str, object] = {}
    exec("from golib import *", names)
    assert names.keys() - {"__builtins__"} == set(calltree.__all__)
    assert names["Go"] is calltree.Go
    # Whoever writes that line has a built-in function of this name.
    assert "open" not in names


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'golib' has no attribute 'Gone'"):
        _ = golib.Gone


@pytest.mark.parametrize("given", ["x.so", None])
def test_what_is_no_library_is_refused_in_a_sentence(given: object) -> None:
    with pytest.raises(TypeError) as refused:
        golib.open(given)  # type: ignore[arg-type]
    assert str(refused.value) == (
        f"golib.open({given!r}): it opens what golib.toolchains.build.build() returns, a Library, and "
        f"this is a {type(given).__name__}; a file that golib did not build is opened as"
        " golib.toolchains.outside.Outside(path)"
    )


def test_the_package_alone_loads_nothing() -> None:
    program = "import golib, sys; print(sorted(name for name in sys.modules if name.startswith('golib')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['golib']\n"
