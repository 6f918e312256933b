"""What is found in files, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from golib.files.buildinfo import Binary

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Owner:
    """The package that a file belongs to."""

    name: str
    version: str
    kind: str
    """``wheel`` or ``dpkg``: whose list says so."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Found:
    """A file that Go linked, or into which a c-archive was linked."""

    path: str
    """Of the file on this machine: what was found, or the archive that it is in."""
    inside: str
    """The names in the archive, from outside to inside; empty where it is the file itself."""
    binary: Binary
    owner: Owner | None = None

    @property
    def name(self) -> str:
        return f"{self.path}: {self.inside}" if self.inside else self.path


@dataclass(frozen=True)
class Problem:
    """Something that was not looked at."""

    path: str
    inside: str
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.inside}: {self.why}" if self.inside else f"{self.path}: {self.why}"


MOST_PROBLEMS = 1000
"""That are kept for one place that was named; of the rest, how many they are."""


@dataclass
class Looked:
    """What one place that was named has in it."""

    path: str
    kind: str
    """``environment``, ``folder``, ``file``, ``wheel`` or ``image``."""
    found: list[Found] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    left_out: int = 0
    """Problems that were not kept."""
    whole: bool = True
    """Nothing that was named, or holds all that was named, was unreadable."""

    def problem(self, path: str, inside: str, why: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(path, inside, why))
        else:
            self.left_out += 1


class UnreadableError(Exception):
    """A place that was named cannot be looked into: one sentence."""
