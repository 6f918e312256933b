"""What a user writes: ``golib.package`` names a library, ``@golib.everywhere`` the test that runs in every
place.  Nothing is built and nothing is looked for when a test file is imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

EVERYWHERE = "golib_everywhere"
"""The mark that ``everywhere`` sets."""
LIB = "lib"
"""The argument of such a test."""


@dataclass(frozen=True)
class Package:
    """A Go main package, as a test file names it."""

    what: str
    """What it wrote."""
    path: Path
    """The package's folder, absolute."""

    def check(self) -> None:
        """Raises pytest.UsageError, one sentence, where there can be nothing to build."""
        if not self.path.is_dir():
            raise pytest.UsageError(
                f"golib.package({self.what!r}): there is no folder {self.path}; name the folder of a Go main"
                " package, relative to the test file that names it"
            )
        if not any(self.path.glob("*.go")):
            raise pytest.UsageError(
                f"golib.package({self.what!r}): {self.path} holds no Go file; name the folder of a Go main"
                " package"
            )


def package(what: str | Path) -> Package:
    """The Go main package in that folder, relative to the folder of the file that calls this."""
    here = Path(sys._getframe(1).f_code.co_filename).parent
    return Package(str(what), (here / what).resolve())


def everywhere(library: Package, places: str | Sequence[str] = ()) -> pytest.MarkDecorator:
    """A test runs in every place, or in those named, with the library as its argument ``lib``."""
    chosen = (places,) if isinstance(places, str) else tuple(places)
    mark: pytest.MarkDecorator = getattr(pytest.mark, EVERYWHERE)
    return mark(library, chosen)
