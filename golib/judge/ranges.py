"""Ranges of Go releases, as the list of known issues and an expected death write them."""

from __future__ import annotations

from golib.toolchains.toolchain import version_key

Range = tuple[str, str]
"""The first release and the last, both included; an empty last means "and later"."""


def read(text: str) -> Range:
    """``"1.22.5 - 1.22.12"``, ``"1.21.0"``, ``"1.23.5 and later"``.  Raises ValueError."""
    if text.endswith(" and later"):
        first, last = text.removesuffix(" and later"), ""
    else:
        first, _, last = text.partition(" - ")
        last = last or first
    first, last = first.strip(), last.strip()
    if last and version_key(last) < version_key(first):
        raise ValueError(f"{text!r} ends before it begins")
    version_key(first)
    return first, last


def holds(range: Range, version: str) -> bool:
    """Whether that release lies in it."""
    first, last = range
    key = version_key(version)
    return version_key(first) <= key and (not last or key <= version_key(last))
