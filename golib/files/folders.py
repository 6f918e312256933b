"""A place that was named -> the Go that is in it: a folder and those below it, a file, a wheel, an image,
or the environment of the running Python.

No link is followed below what was named, so that nothing outside of it is touched; no pipe or device is
opened.
"""

from __future__ import annotations

import os
import site
import stat
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from golib.files import buildinfo, images, owners, tars, wheels
from golib.files.found import Found, Looked, Owner, Progress, UnreadableError

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_KERNEL = ("/proc", "/sys", "/dev")
"""What is no file on disk, whatever it looks like."""
_EACH = 50_000
"""Files after which a line says how far it is."""


def look(what: str, progress: Progress) -> Looked:
    """``what``: a path.  Raises UnreadableError, one sentence, where nothing can be said of it."""
    path = Path(what)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            if images.is_layout(path):
                looked = Looked(what, "image")
                images.look(path, looked, progress)
                return looked
            looked = Looked(what, "environment" if (path / "pyvenv.cfg").is_file() else "folder")
            os.scandir(path).close()
            _folders([what], looked, progress)
            return looked
        if not stat.S_ISREG(mode):
            raise UnreadableError(f"{what} is neither a file nor a folder; name one")
        return _file(path, what, progress)
    except FileNotFoundError:
        raise UnreadableError(
            f"{what} does not exist; name a library, a wheel, a folder or an image"
        ) from None
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{what} cannot be read: {wheels.said(error)}; name something else") from None


def environment(progress: Progress) -> Looked:
    """What the running Python imports from: all of a virtual environment, else its folders of packages."""
    if sys.prefix != sys.base_prefix:
        places = [sys.prefix]
    else:
        places = [*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        if site.ENABLE_USER_SITE:
            places.append(site.getusersitepackages())
    looked = Looked(sys.prefix, "environment")
    there = [place for place in dict.fromkeys(map(os.path.realpath, places)) if Path(place).is_dir()]
    apart = [one for one in there if not any(one != other and _within(one, other) for other in there)]
    _folders(apart, looked, progress)
    return looked


def _within(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _file(path: Path, what: str, progress: Progress) -> Looked:
    with path.open("rb") as file:
        head = file.read(tars.BLOCK)
        if buildinfo.may_be(head):
            looked = Looked(what, "file")
            try:
                binary = buildinfo.read(buildinfo.of_file(file.fileno()))
            except buildinfo.TooLargeError as error:
                raise UnreadableError(f"{what}: {error}; name another") from None
            if binary is not None:
                looked.found.append(Found(what, "", binary))
                _own(looked, [])
            return looked
        if head[:4] in (wheels.START, wheels.EMPTY):
            looked = Looked(what, "wheel")
            file.seek(0)
            try:
                wheels.look(file, path.stat().st_size, what, "", looked)
            except wheels.WheelError as error:
                raise UnreadableError(f"{what}: {error}; fetch it again") from None
            looked.whole = not looked.problems
            return looked
    if images.may_be(head):
        looked = Looked(what, "image")
        images.look(path, looked, progress)
        return looked
    raise UnreadableError(
        f"{what} is no library or program (ELF, Mach-O, PE), no wheel and no image; name one of these, or a"
        " folder"
    )


def _folders(tops: list[str], looked: Looked, progress: Progress) -> None:
    packages: list[str] = []
    # The inner loop runs once for each of 300,000 files: it looks up and calls nothing that it need not.
    opened, read, close, firsts, size = os.open, os.read, os.close, buildinfo.FIRSTS, buildinfo.HEAD
    count, waiting = 0, list(tops)
    while waiting:
        if count // _EACH < (count := count + len(files := _files(waiting, looked, packages))) // _EACH:
            progress(f"{looked.path}: {count:,} files")
        for path in files:
            try:
                descriptor = opened(path, _FLAGS)
                try:
                    head = read(descriptor, size)
                    if head[:1] in firsts:
                        _look_at(descriptor, head, path, looked)
                finally:
                    close(descriptor)
            except OSError as error:
                looked.problem(path, "", error.strerror or wheels.said(error))
            except (buildinfo.TooLargeError, wheels.WheelError) as error:
                looked.problem(path, "", wheels.said(error))
    _own(looked, packages)
    looked.found.sort(key=lambda one: (one.path, one.inside))


def _look_at(descriptor: int, head: bytes, path: str, looked: Looked) -> None:
    """Raises OSError, TooLargeError and WheelError."""
    if buildinfo.may_be(head):
        binary = buildinfo.read(buildinfo.of_file(descriptor))
        if binary is not None:
            looked.found.append(Found(path, "", binary))
    elif head[:2] == b"PK" and path.endswith(".whl"):
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(0)
            wheels.look(file, os.fstat(descriptor).st_size, path, "", looked)


def _files(waiting: list[str], looked: Looked, packages: list[str]) -> list[str]:
    """The files of the last of the folders that wait; those in it wait in its place.  ``packages`` gets the
    folders with lists of packages."""
    folder, files = waiting.pop(), []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_file(follow_symlinks=False):
                        files.append(entry.path)
                    elif entry.is_dir(follow_symlinks=False) and entry.path not in _KERNEL:
                        waiting.append(entry.path)
                        if entry.name.endswith(owners.INFORMATION):
                            packages.append(entry.path)
                except OSError as error:
                    looked.problem(entry.path, "", error.strerror or wheels.said(error))
    except OSError as error:
        looked.problem(folder, "", error.strerror or wheels.said(error))
    return files


def _own(looked: Looked, packages: list[str]) -> None:
    """Says of what was found which package it is from: by the lists of the folder that was looked through,
    by those of the folders above for a single file, and by dpkg's."""
    mine = {os.path.abspath(one.path) for one in looked.found if not one.inside}
    if not mine:
        return
    if not packages:
        packages = [found for path in mine for found in _above(path)]
    lists = owners.Lists()
    names = {os.fsencode(os.path.basename(path)) for path in mine}
    for folder in packages:
        for name in ("RECORD", "METADATA"):
            data = _read(f"{folder}/{name}")
            if name == "RECORD" and not any(one in data for one in names):
                break
            lists.add(os.path.abspath(f"{folder}/{name}"), data)
    owned = lists.owners(mine)
    rest = mine - set(owned)
    for root in dict.fromkeys((os.path.abspath(looked.path), "/")) if rest else ():
        owned |= _by_dpkg(root, rest)
    looked.found = [
        Found(one.path, one.inside, one.binary, one.owner or owned.get(os.path.abspath(one.path)))
        for one in looked.found
    ]


def _by_dpkg(root: str, paths: set[str]) -> dict[str, Owner]:
    """By the lists of the system whose root that is, where it is one."""
    base = root.rstrip("/")
    inside = {path[len(base) + 1 :]: path for path in paths if path.startswith(f"{base}/")}
    try:
        entries = [entry.path for entry in os.scandir(f"{base}/{owners.LISTS}")]
    except OSError:
        return {}
    lists = owners.Lists()
    lines = {os.fsencode(f"/{one}") for path in inside for one in owners.spelled(path)}
    for path in entries:
        if path.endswith(".list"):
            data = _read(path)
            if not lines.isdisjoint(data.split(b"\n")):
                lists.add(path[len(base) + 1 :], data)
    if not any(lists):
        return {}
    lists.add(owners.STATUS, _read(f"{base}/{owners.STATUS}"))
    return {inside[path]: owner for path, owner in lists.owners(set(inside)).items()}


def _above(path: str) -> Iterator[str]:
    """The folders .dist-info beside a file, or beside a folder that it is in."""
    folder = os.path.dirname(path)
    while True:
        try:
            with os.scandir(folder) as entries:
                yield from (one.path for one in entries if one.name.endswith(owners.INFORMATION))
        except OSError:
            pass
        if os.path.dirname(folder) == folder:
            return
        folder = os.path.dirname(folder)


def _read(path: str) -> bytes:
    """Nothing where it cannot be read, or is no file."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return b""
    with open(descriptor, "rb") as file:
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return file.read(owners.LARGEST)
        except OSError:
            pass
        return b""
