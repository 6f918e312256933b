"""What a user writes: ``golib.package`` names a library, ``@golib.everywhere`` the test that runs in every
place.  Nothing is built and nothing is looked for when a test file is imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from golib.options import EVERYWHERE

if TYPE_CHECKING:
    from golib.toolchains.shipped import Shipped

LIB = "lib"
"""The argument of such a test."""


@dataclass(frozen=True)
class Package:
    """A library, as a test file names it: the folder of a Go main package, which the Go under test builds; or
    what golib cannot build, a shared library or an installed distribution that has one."""

    what: str
    """What it wrote."""
    path: Path
    """The same as a path, absolute."""

    @cached_property
    def shipped(self) -> Shipped | None:
        """The library of a file or of a distribution.  Raises pytest.UsageError, one sentence."""
        if self.path.is_dir():
            return None
        if not self.path.exists() and ("/" in self.what or self.what.startswith(".")):
            raise pytest.UsageError(
                f"golib.package({self.what!r}): {self.path} does not exist; name the folder of a Go main"
                " package or a shared library, relative to the test file that names it, or a distribution"
            )
        from golib.toolchains import shipped  # which no other run needs

        try:
            found = shipped.find(self.path if self.path.exists() else self.what)
        except shipped.ShippedError as error:
            raise pytest.UsageError(f"golib.package({self.what!r}): {error}") from None
        if len(found) > 1:
            names = ", ".join(str(one.path) for one in found)
            raise pytest.UsageError(
                f"golib.package({self.what!r}): it has {len(found)} Go libraries; name one of {names}"
            )
        return found[0]

    def check(self) -> None:
        """Raises pytest.UsageError, one sentence, where there is nothing to build and nothing to drive."""
        if self.shipped is None and not any(self.path.glob("*.go")):
            raise pytest.UsageError(
                f"golib.package({self.what!r}): {self.path} holds no Go file; name the folder of a Go main"
                " package"
            )


def package(what: str | Path) -> Package:
    """The Go main package in that folder, or the shared library of that name, relative to the folder of the
    file that calls this; or, where there is neither and the name is no path, the Go library of the installed
    distribution of that name."""
    here = Path(sys._getframe(1).f_code.co_filename).parent
    return Package(str(what), (here / what).resolve())


def everywhere(library: Package, places: str | Sequence[str] = ()) -> pytest.MarkDecorator:
    """A test runs in every place, or in those named, with the library as its argument ``lib``."""
    chosen = (places,) if isinstance(places, str) else tuple(places)
    mark: pytest.MarkDecorator = getattr(pytest.mark, EVERYWHERE)
    return mark(library, chosen)
