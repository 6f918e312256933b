"""The history that golib ships: which release showed which known issue, as it was measured.

``history.json`` has a cell for each release and each known issue: how often the issue's proof ran there, how
often it showed the issue, and in how many of these runs other faults of the list explain all that was seen.
``golib validate --history FILE`` writes it, and what judges reads it, never the other way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from golib.toolchains.toolchain import version_key

if TYPE_CHECKING:
    from golib.case.calltree import Case

FILE = Path(__file__).with_name("history.json")
SCHEMA = 1


class HistoryError(ValueError):
    """The file is no history: one sentence."""


class Proven(Protocol):
    """What a history asks of a known issue."""

    @property
    def id(self) -> str: ...
    @property
    def rate(self) -> float: ...
    @property
    def proof(self) -> Case: ...
    def masked_in(self, version: str) -> bool: ...


def read(path: Path = FILE) -> dict[str, dict[str, Any]]:
    """Release -> ``golib`` (the version that measured it), ``libc`` and ``cells``, oldest release first.

    Raises HistoryError, and OSError when the file cannot be read.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema is {document['schema']!r}, and this golib reads {SCHEMA}")
        releases = document["releases"]
        for one in releases.values():
            for cell in one["cells"].values():
                if not 0 <= cell["others"] <= cell["shown"] <= cell["runs"]:
                    raise ValueError(f"a cell is {cell!r}")
                cell["case"] + ""
        return dict(sorted(releases.items(), key=lambda pair: version_key(pair[0])))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HistoryError(
            f"{path} is no history of golib's: {error}; `golib validate --history FILE` writes one"
        ) from error


def pictures_of(path: Path = FILE) -> Path:
    """The file beside a history that has its pictures, which what judges does not read."""
    return path.with_suffix(".pictures.json")


def read_pictures(path: Path = FILE) -> dict[str, tuple[str, dict[str, Any]]]:
    """Of the history at ``path``, for an issue: a release, and a picture of how its proof showed it there.
    Nothing where there is no such file.  Raises HistoryError, OSError."""
    file = pictures_of(path)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        for release, picture in found.values():
            version_key(release)
            picture["signature"] + ""
        return {name: (release, picture) for name, (release, picture) in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HistoryError(f"{file} has no pictures of a history's: {error}; remove it") from error


def pictures_text(found: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
    """What that file holds: a line for each issue."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found))
    return f"{{\n{lines}\n}}\n"


def text(releases: Mapping[str, Mapping[str, Any]]) -> str:
    """What the file holds: a line for each release, for a diff that can be read."""
    order = sorted(releases, key=version_key)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(releases[name], sort_keys=True)}" for name in order)
    return f'{{"schema": {SCHEMA}, "releases": {{\n{lines}\n}}}}\n'


def cells(proofs: Mapping[str, Mapping[str, int]], issues: Sequence[Proven]) -> dict[str, Any]:
    """The cells of a release from the ``proofs`` of its results: with the hash of the case that ran."""
    hashes = {issue.id: case_hash(issue) for issue in issues}
    return {name: {**proof, "case": hashes[name]} for name, proof in proofs.items()}


def together(before: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of one release that was measured twice.  A published release stays as it is, so runs of the
    same case add up: what shows at a rate, and showed once, is there, also where it did not show again."""
    whole = dict(before) | dict(new)
    for name in before.keys() & new.keys():
        if before[name]["case"] == new[name]["case"]:
            counts = {key: before[name][key] + new[name][key] for key in ("runs", "shown", "others")}
            whole[name] = new[name] | counts
    return whole


def case_hash(issue: Proven) -> str:
    """Of the proof: a cell that another case made says nothing of this one."""
    return hashlib.sha256(repr(issue.proof).encode()).hexdigest()[:12]


def shows(cell: Mapping[str, Any]) -> bool:
    """Whether a run showed the issue, and no other fault explains it."""
    return bool(cell["shown"] > cell["others"])


def measured(releases: Mapping[str, Mapping[str, Any]], issue: Proven) -> tuple[tuple[str, bool], ...]:
    """Each release that has a cell of the issue, and whether it shows there, the oldest first.  A cell of
    another case is none.  Where other faults explain all that its proof showed, the entry says whether the
    issue is there too.  What shows at a rate, and was missed in one release of a line but not before and not
    after, is passed over there."""
    case = case_hash(issue)
    found = []
    for version in sorted(releases, key=version_key):
        cell = releases[version]["cells"].get(issue.id)
        if cell and cell["case"] == case:
            found.append((version, shows(cell) or bool(cell["shown"] and issue.masked_in(version))))
    if issue.rate == 1:
        return tuple(found)
    shown = [version_key(version) for version, there in found if there]
    return tuple(
        (version, there)
        for version, there in found
        if there or not (shown and shown[0] < version_key(version) and _again(version, shown))
    )


def _again(version: str, shown: Sequence[tuple[int, int, int, int]]) -> bool:
    """Whether a later release of its minor line is among those."""
    key = version_key(version)
    return any(other[:2] == key[:2] and other > key for other in shown)


def ranges(seen: Sequence[tuple[str, bool]]) -> tuple[tuple[str, str], ...]:
    """Where it shows, as first and last release of each stretch of measured releases; an empty last is "still
    there in the newest release"."""
    found: list[tuple[str, str]] = []
    last, within = "", False
    for version, shown in seen:
        if shown:
            if not within:
                found.append((version, ""))
            last, within = version, True
        elif within:
            found[-1] = (found[-1][0], last)
            within = False
    return tuple(found)
