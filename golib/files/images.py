"""An image of a container -> what its root file system has: an archive of ``docker save`` or of an OCI
layout, or a folder with such a layout (https://github.com/opencontainers/image-spec).

Each blob is read once, forwards, in the order in which the archive has them, and nothing is unpacked.  What
a layer hides of those below it (whiteouts, opaque folders, another file of that name) is put together at the
end, when the manifests are known, which may stand last.
"""

from __future__ import annotations

import gzip
import importlib
import io
import json
import os
import stat
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from golib.files import buildinfo, owners, tars, wheels
from golib.files.buildinfo import Binary, Reader, Stream, TooLargeError
from golib.files.found import Found, Looked, Progress, UnreadableError
from golib.files.tars import Behind, Part, TarError
from golib.files.wheels import Metered

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
LAYOUT = "oci-layout"
"""The file that says that a folder is one."""
_LARGEST_JSON = 4 << 20  # bytes: a manifest of 127 layers has 30 KiB
_MOST_JSON = 1000
_LARGEST_WHEEL = 128 << 20
"""Of a wheel that lies in a layer, which is held in memory: its list of members stands at its end."""
_MOST_LISTS = 20_000
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"

_DAMAGED = (TarError, TooLargeError, EOFError, zlib.error, gzip.BadGzipFile, OSError, ValueError)


class _File:
    """A file on disk, read forwards."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._at = 0

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self._at += len(data)
        return data

    def skip(self, size: int) -> None:
        self._at += size
        if self._at > self._size:
            raise TarError("it is cut off")
        self._file.seek(size, os.SEEK_CUR)


@dataclass
class _Layer:
    found: list[tuple[str, str, Binary, Any]] = field(default_factory=list)
    """Path in the layer, the member where that is a wheel, what it is, and a wheel's owner."""
    files: array[int] = field(default_factory=lambda: array("q"))
    """Hashes of the paths of all that is no folder: a list of 100,000 paths would take 20 MB."""
    folders: array[int] = field(default_factory=lambda: array("q"))
    gone: set[str] = field(default_factory=set)
    """Whited out, as files below this layer."""
    opaque: set[str] = field(default_factory=set)
    lists: owners.Lists = field(default_factory=owners.Lists)
    problems: list[tuple[str, str]] = field(default_factory=list)
    broken: str = ""

    def hides(self, path: str) -> bool:
        """Whether it hides what a layer below has at that path."""
        if path in self.gone or _has(self.files, path) or _has(self.folders, path):
            return True
        above = path.rpartition("/")[0]
        while True:
            if above in self.opaque or (above and (above in self.gone or _has(self.files, above))):
                return True
            if not above:
                return False
            above = above.rpartition("/")[0]


def _has(hashes: array[int], path: str) -> bool:
    return hash(path) in hashes


def is_layout(folder: Path) -> bool:
    return (folder / LAYOUT).is_file() and (folder / "index.json").is_file()


def may_be(head: bytes) -> bool:
    """Whether a file that begins with these 512 bytes may be an archive of one."""
    return head[:2] == GZIP or head[:4] == ZSTD or tars.is_tar(head)


def look(path: Path, looked: Looked, progress: Progress) -> None:
    """Adds what the image has, or each where there are several.

    Raises UnreadableError where this is no image, or one of which a part is not to be had.
    """
    reading = _Reading(looked.path, progress)
    try:
        if path.is_dir():
            reading.folder(path)
        else:
            with path.open("rb") as file:
                reading.archive(file)
    except _DAMAGED as error:
        raise UnreadableError(
            f"{looked.path} cannot be read to its end ({wheels.said(error)}); save the image again"
        ) from None
    reading.put_together(looked)


class _Reading:
    """The blobs of one archive, as far as they have been read."""

    def __init__(self, called: str, progress: Progress) -> None:
        self._called, self._progress = called, progress
        self._json: dict[str, bytes] = {}
        self._layers: dict[str, _Layer] = {}
        self._links: dict[str, str] = {}
        """What old versions of docker save instead of a layer that comes twice."""

    def folder(self, path: Path) -> None:
        for name in ("index.json", "manifest.json"):
            if (path / name).is_file():
                self._json[name] = (path / name).read_bytes()[:_LARGEST_JSON]
        for algorithm in sorted((path / "blobs").iterdir()):
            for blob in sorted(algorithm.iterdir()) if algorithm.is_dir() else ():
                # No link, no pipe: what stands in the folder is not to be trusted.
                if not stat.S_ISREG(blob.lstat().st_mode):
                    continue
                with blob.open("rb") as file:
                    self._blob(f"blobs/{algorithm.name}/{blob.name}", _File(file), blob.stat().st_size)

    def archive(self, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        for member in tars.members(_opened(_File(file), size)):
            if member.kind == "file" and member.name:
                self._blob(member.name, member.data, member.size)
            elif member.kind == "other" and member.name and member.target:
                self._links[member.name] = member.target
            elif member.kind == "link":
                self._links[member.name] = f"/{member.target}"

    def _blob(self, name: str, data: Reader, size: int) -> None:
        start = data.read(min(size, tars.BLOCK))
        if start.lstrip()[:1] in (b"{", b"["):
            if size <= _LARGEST_JSON and len(self._json) < _MOST_JSON:
                self._json[name] = start + data.read(size - len(start))
        elif may_be(start):
            self._progress(f"{name.rpartition('/')[2][:19]}: {size / 1e6:,.0f} MB")
            layer = self._layers[name] = _Layer()
            try:
                _read_layer(_opened(Behind(start, data), size), layer)
            except _DAMAGED as error:
                layer.broken = wheels.said(error)

    def put_together(self, looked: Looked) -> None:
        images = list(self._images())
        if not images:
            raise UnreadableError(
                f"{looked.path} is no image: it has neither the manifest.json of docker save nor the"
                " index.json of OCI; name one of these, a wheel, a folder or a library"
            )
        missing = ""
        for tag, names in images:
            layers = []
            for name in names:
                layer = self._layers.get(name) or self._layers.get(self._linked(name))
                if layer is None or layer.broken:
                    why = layer.broken if layer else "it is not in the archive"
                    missing = missing or f"its layer {name} cannot be read: {why}"
                    looked.problem(looked.path, name, why)
                else:
                    layers.append(layer)
            _add(looked, tag if len(images) > 1 else "", layers)
        if missing:
            looked.whole = False

    def _linked(self, name: str) -> str:
        target = self._links.get(name, "")
        if target.startswith("/"):
            return target[1:]
        folder = name.rpartition("/")[0]
        return tars.clean(os.path.normpath(f"{folder}/{target}")) if target else ""

    def _images(self) -> Iterator[tuple[str, list[str]]]:
        """What each is called, and its layers from the lowest up."""
        manifest = self._parsed("manifest.json")
        if isinstance(manifest, list):
            for number, image in enumerate(manifest):
                if isinstance(image, dict) and isinstance(image.get("Layers"), list):
                    tags = image.get("RepoTags")
                    tag = tags[0] if isinstance(tags, list) and tags else f"image {number + 1}"
                    yield str(tag), [str(layer) for layer in image["Layers"]]
            return
        waiting = [("", self._parsed("index.json"))]
        seen = 0
        while waiting and seen < _MOST_JSON:
            seen += 1
            called, document = waiting.pop(0)
            if not isinstance(document, dict):
                continue
            layers = document.get("layers")
            if isinstance(layers, list):
                blobs = [_blob_of(one) for one in layers if not _is_no_file_system(one)]
                if blobs:
                    yield called, blobs
            for one in document.get("manifests") or ():
                if isinstance(one, dict):
                    notes = one.get("annotations")
                    named = notes.get("org.opencontainers.image.ref.name") if isinstance(notes, dict) else ""
                    blob = _blob_of(one)
                    waiting.append((str(named or called or blob.rpartition("/")[2][:12]), self._parsed(blob)))

    def _parsed(self, name: str) -> Any:
        try:
            return json.loads(self._json.get(name, b"null"))
        except (ValueError, RecursionError):
            return None


def _blob_of(descriptor: Any) -> str:
    digest = str(descriptor.get("digest", "")) if isinstance(descriptor, dict) else ""
    return f"blobs/{digest.replace(':', '/', 1)}"


def _is_no_file_system(descriptor: Any) -> bool:
    """Such as an attestation, which an image carries as a layer."""
    kind = str(descriptor.get("mediaType", "")) if isinstance(descriptor, dict) else ""
    return "tar" not in kind and kind != ""


def _add(looked: Looked, tag: str, layers: list[_Layer]) -> None:
    """What is left of the layers, the lowest first."""
    lists = owners.Lists()
    rest: list[tuple[str, str, Binary, Any]] = []
    for layer in layers:
        lists.update(layer.lists, [path for path in lists if layer.hides(path)])
        rest = [one for one in rest if not layer.hides(one[0])] + layer.found
        for path, why in layer.problems:
            looked.problem(looked.path, f"{tag}: {path}" if tag else path, why)
    owned = lists.owners({path for path, member, _, _ in rest if not member})
    for path, member, binary, owner in sorted(rest, key=lambda one: one[:2]):
        name = f"{path}/{member}" if member else path
        looked.found.append(
            Found(looked.path, f"{tag}: {name}" if tag else name, binary, owner or owned.get(path))
        )


def _opened(file: Reader, size: int) -> Any:
    """Decompressed, where it is compressed.  Raises TarError where that cannot be."""
    start = file.read(4)
    whole = Behind(start, file)
    if start[:2] == GZIP:
        return Metered(gzip.GzipFile(fileobj=_Whole(whole)), wheels.budget(size))
    if start[:4] == ZSTD:
        return Metered(_zstd(_Whole(whole)), wheels.budget(size))
    return whole


class _Whole(io.RawIOBase):
    """What modules for compression want of a file."""

    def __init__(self, file: Reader) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _zstd(file: _Whole) -> Reader:
    """By Python 3.14's own module, or by ``zstandard`` where that is installed.  Raises TarError."""
    for module in ("compression.zstd", "backports.zstd"):
        try:
            found: Any = importlib.import_module(module)
        except ImportError:
            continue
        return _Zstd(found.ZstdFile(file), found.ZstdError)
    try:
        zstandard: Any = importlib.import_module("zstandard")
    except ImportError:
        raise TarError(
            "it is compressed by zstd, which takes Python 3.14 or `pip install zstandard`"
        ) from None
    reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    return _Zstd(reader, zstandard.ZstdError)


class _Zstd:
    """Whose own exception is ours."""

    def __init__(self, file: Reader, error: type[Exception]) -> None:
        self._file, self._error = file, error

    def read(self, size: int, /) -> bytes:
        try:
            return self._file.read(size)
        except self._error as error:
            raise TarError(f"zstd: {error}") from None


def _read_layer(file: Any, layer: _Layer) -> None:
    """Raises what reading raises."""
    lists = 0
    for member in tars.members(file):
        if not member.name and member.kind != "folder":
            layer.problems.append(("a member", "its name leads out of the image, so it is not looked at"))
            continue
        folder, _, name = member.name.rpartition("/")
        if name == _OPAQUE:
            layer.opaque.add(folder)
        elif name.startswith(_WHITEOUT):
            if not name.startswith(".wh..wh."):  # AUFS keeps its own books there
                layer.gone.add(f"{folder}/{name[len(_WHITEOUT) :]}" if folder else name[len(_WHITEOUT) :])
        elif member.kind == "folder":
            layer.folders.append(hash(member.name))
        else:
            layer.files.append(hash(member.name))
            if member.kind == "link":
                layer.found += [(member.name, *one[1:]) for one in layer.found if one[0] == member.target]
            elif member.kind == "file":
                if owners.is_list(member.name) and lists < _MOST_LISTS:
                    lists += 1
                    layer.lists.add(member.name, member.data.read(min(member.size, owners.LARGEST)))
                else:
                    _read_member(member.name, member.data, member.size, layer)


def _read_member(name: str, data: Part, size: int, layer: _Layer) -> None:
    if size < buildinfo.HEAD:
        return
    head = data.read(buildinfo.HEAD)
    if buildinfo.may_be(head):
        try:
            binary = buildinfo.read(Stream(Behind(head, data)))
        except TooLargeError as error:
            layer.problems.append((name, wheels.said(error)))
            return
        if binary is not None:
            layer.found.append((name, "", binary, None))
    elif name.endswith(".whl") and head.startswith(wheels.START):
        if size > _LARGEST_WHEEL:
            layer.problems.append((name, f"a wheel of {size:,} bytes in a layer is not looked into"))
            return
        inside = Looked("", "wheel")
        whole = io.BytesIO(head + data.read(size - len(head)))
        try:
            wheels.look(whole, size, "", name.rpartition("/")[2], inside)
        except wheels.WheelError as error:
            layer.problems.append((name, str(error)))
        prefix = len(name.rpartition("/")[2]) + 1
        layer.found += [(name, one.inside[prefix:], one.binary, one.owner) for one in inside.found]
        layer.problems += [
            (f"{name}/{one.inside[prefix:]}" if one.inside else name, one.why) for one in inside.problems
        ]
