"""Which package a file belongs to, by the lists that packages leave: RECORD of a wheel that was installed
(PyPA's "Recording installed projects"), and the lists of dpkg (/var/lib/dpkg/info/*.list)."""

from __future__ import annotations

import csv
import posixpath
import zlib
from collections.abc import Iterable, Iterator

from golib.files.found import Owner

LARGEST = 64 << 20
"""Bytes of a list that are read: dpkg's status of 3,000 packages has 4 MiB."""
INFORMATION = ".dist-info"
STATUS = "var/lib/dpkg/status"
LISTS = "var/lib/dpkg/info"
_LIST = ".list"


def is_list(path: str) -> bool:
    """Whether the file of that path, from the root of what is looked at, says which files a package has."""
    folder, _, name = path.rpartition("/")
    if folder.endswith(INFORMATION):
        return name in ("RECORD", "METADATA")
    return path == STATUS or (folder == LISTS and name.endswith(_LIST))


class Lists:
    """Those of one file system, kept small until somebody asks."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def add(self, path: str, data: bytes) -> None:
        """``path``: from the root of what is looked at."""
        if path.endswith("/RECORD"):
            data = "\n".join(_recorded(data)).encode("utf-8", "surrogateescape")
        elif path.endswith("/METADATA"):
            data = data[: 1 << 16]
        self._kept[path] = zlib.compress(data, 1)

    def update(self, other: Lists, hidden: Iterable[str] = ()) -> None:
        """Those of a layer above, where ``hidden`` ones are gone."""
        for path in hidden:
            self._kept.pop(path, None)
        self._kept |= other._kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def owners(self, wanted: set[str]) -> dict[str, Owner]:
        """Of those paths that a list has."""
        found: dict[str, Owner] = {}
        names = [posixpath.basename(path).encode("utf-8", "surrogateescape") for path in wanted]
        if not wanted:
            return found
        versions: dict[str, str] | None = None
        for path, kept in self._kept.items():
            folder, _, name = path.rpartition("/")
            data = zlib.decompress(kept)
            if name in ("METADATA", "status") or not any(one in data for one in names):
                continue
            lines = data.decode("utf-8", "surrogateescape").split("\n")
            if name == "RECORD":
                base = posixpath.dirname(folder)
                metadata = self._kept.get(f"{folder}/METADATA")
                owner = of_metadata(
                    zlib.decompress(metadata) if metadata else b"", posixpath.basename(folder)
                )
                for line in lines:
                    one = posixpath.normpath(posixpath.join(base, line))
                    if one in wanted:
                        found[one] = owner
            else:
                if versions is None:
                    status = self._kept.get(STATUS)
                    versions = _versions(zlib.decompress(status)) if status else {}
                package = name.removesuffix(_LIST)
                bare = package.partition(":")[0]
                for line in lines:
                    for one in spelled(line.lstrip("/")):
                        if one in wanted:
                            found.setdefault(one, Owner(bare, versions.get(bare, "?"), "dpkg"))
        return found


def spelled(path: str) -> tuple[str, str, str]:
    """The ways in which a list may write that path: where /lib is a link to /usr/lib it may have either."""
    return path, f"usr/{path}", path.removeprefix("usr/")


def of_metadata(data: bytes, folder: str) -> Owner:
    """By METADATA of the folder ``NAME-VERSION.dist-info``, or by that name where it says nothing."""
    name, _, version = folder.removesuffix(INFORMATION).partition("-")
    for line in data.split(b"\n\n", 1)[0].decode("utf-8", "replace").splitlines():
        key, _, value = line.partition(":")
        if key.lower() == "name" and value.strip():
            name = value.strip()
        elif key.lower() == "version" and value.strip():
            version = value.strip()
    return Owner(name, version or "?", "wheel")


def _recorded(data: bytes) -> Iterator[str]:
    text = data.decode("utf-8", "surrogateescape").replace("\0", "")
    try:
        for row in csv.reader(text.splitlines()):
            if row:
                yield row[0]
    except csv.Error:
        return


def _versions(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    package = ""
    for line in data.decode("utf-8", "replace").splitlines():
        if line.startswith("Package: "):
            package = line[9:].strip()
        elif line.startswith("Version: ") and package:
            found.setdefault(package, line[9:].strip())
    return found
