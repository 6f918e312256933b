"""What the tests of ``golib audit`` look at: small ELF files with Go's mark, wheels, tars and images, and the
same with damage.

``python tests/framework/audited.py COUNT SEED LIBRARY`` mangles that many and says what they came to.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from golib.files import folders
from golib.files.buildinfo import MAGIC
from golib.files.found import UnreadableError

SENTINEL = bytes.fromhex("3077af0c9274080241e1c107e6d618e6")
SETTINGS = """path\texample.com/lib
mod\texample.com/lib\tv1.2.3\t
build\t-buildmode=c-shared
build\tCGO_ENABLED=1
"""
_ADDRESS, _DATA = 0x1000, 128
"""Where the data of these files is in the process, and where in the file."""


def elf(version: str = "go1.22.5", settings: str = SETTINGS, *, machine: int = 62) -> bytes:
    """A shared library of one segment of writable data that begins with Go's mark, and no section headers."""
    return _library(_mark(version, settings), machine)


def macho(version: str = "go1.22.5", settings: str = SETTINGS) -> bytes:
    """A dylib for arm64 of macOS, of one segment with the section of Go's mark."""
    data = _mark(version, settings)
    header = struct.pack("<8I", 0xFEEDFACF, 0x0100000C, 0, 6, 1, 72 + 80, 0, 0)
    header += struct.pack("<II16s4Q4I", 0x19, 72 + 80, b"__DATA", 0, 4096, 0, 4096, 3, 3, 1, 0)
    header += struct.pack("<16s16sQQ8I", b"__go_buildinfo", b"__DATA", 256, len(data), 256, 4, *[0] * 6)
    return header.ljust(256, b"\0") + data


def pe(version: str = "go1.22.5", settings: str = SETTINGS) -> bytes:
    """A DLL for x86-64 of Windows, of one writable section that begins with Go's mark."""
    data = _mark(version, settings)
    header = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    header += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x2022)
    header += struct.pack("<H22xQ", 0x20B, 0x180000000).ljust(108, b"\0") + struct.pack("<I", 16) + bytes(128)
    header += struct.pack("<8s6I2HI", b".data", len(data), 4096, len(data), 512, 0, 0, 0, 0, 0xC0000040)
    return header.ljust(512, b"\0") + data


def _mark(version: str, settings: str) -> bytes:
    data = MAGIC + bytes([8, 2]) + bytes(16)
    for one in (version.encode(), SENTINEL + settings.encode() + SENTINEL):
        data += _varint(len(one)) + one
    return data


def elf_of_pointers(version: str, settings: str) -> bytes:
    """The same as Go wrote it before 1.18: with the addresses of two strings."""
    text = SENTINEL + settings.encode() + SENTINEL
    at = _ADDRESS + 64
    data = MAGIC + bytes([8, 0]) + struct.pack("<QQ", _ADDRESS + 32, _ADDRESS + 48)
    data += struct.pack("<QQQQ", at, len(version), at + len(version), len(text))
    return _library(data + version.encode() + text, 62)


def _library(data: bytes, machine: int) -> bytes:
    header = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    header += struct.pack("<IIQQQQQQ", 1, 6, _DATA, _ADDRESS, _ADDRESS, len(data), len(data), 16)
    return header.ljust(_DATA, b"\0") + data


def _varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def wheel(name: str, version: str, files: Mapping[str, bytes]) -> bytes:
    """A wheel with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in (files | information(name, version, files)).items():
            member = zipfile.ZipInfo(path)
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w") as file:  # writestr takes no empty name
                file.write(data)
    return buffer.getvalue()


def information(name: str, version: str, files: Iterable[str]) -> dict[str, bytes]:
    """The folder .dist-info of a wheel, as an installer leaves it."""
    folder = f"{name}-{version}.dist-info"
    return {
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n".encode(),
        f"{folder}/RECORD": "".join(f"{path},,\n" for path in files).encode(),
    }


Members = Sequence[tuple[str, bytes | tuple[bytes, str] | None]]
"""Of a tar: name and content; None is a folder, and a type with a name is a link."""


def tar(members: Members) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members:
            one = tarfile.TarInfo(name)
            if data is None:
                one.type = tarfile.DIRTYPE
            elif isinstance(data, tuple):
                one.type, one.linkname = data
            else:
                one.size = len(data)
            archive.addfile(one, io.BytesIO(data) if isinstance(data, bytes) else None)
    return buffer.getvalue()


def docker_save(layers: Sequence[bytes]) -> bytes:
    """As ``docker save`` writes it, with the manifest last."""
    names = [f"layer{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": ["shop:1"], "Layers": names}]
    return tar([*zip(names, layers, strict=True), ("manifest.json", json.dumps(manifest).encode())])


def oci(layers: Sequence[bytes], compress: Callable[[bytes], bytes] = gzip.compress) -> bytes:
    """An archive with an OCI layout."""
    blobs: dict[str, bytes] = {}

    def put(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    descriptors = [put(compress(layer), kind) for layer in layers]
    manifest = json.dumps({"schemaVersion": 2, "layers": descriptors}).encode()
    index = {"manifests": [put(manifest, "application/vnd.oci.image.manifest.v1+json")]}
    return tar(
        [("oci-layout", b"{}"), ("index.json", json.dumps(index).encode()), *blobs.items()],
    )


# Damage.

_CHUNK = 512


def seeds(library: bytes) -> dict[str, bytes]:
    """What is mangled, by the name of its kind.  ``library``: one that Go really built."""
    small = elf()
    made = wheel("shop", "1.0", {"shop/lib.so": small})
    layers = [
        tar([("usr/lib/a.so", small), ("wheels/shop.whl", made)]),
        tar([("usr/lib/.wh.a.so", b""), ("opt/.wh..wh..opq", b""), ("opt/b.so", small)]),
    ]
    return {
        "elf": small,
        "macho": macho(),
        "pe": pe(),
        "library": library,
        "wheel": made,
        "docker save": docker_save(layers),
        "oci": oci(layers),
    }


def mangled(data: bytes, draw: random.Random) -> bytes:
    """With bytes changed, cut, put in, moved, and lengths that lie."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        if not found:
            break
        # Headers stand at the start, so half of the damage is done there.
        at = draw.randrange(min(len(found), draw.choice((64, 600, len(found)))))
        match draw.randrange(6):
            case 0:
                found[at] = draw.randrange(256)
            case 1:
                del found[at:]
            case 2:
                lies = (b"\xff" * 8, bytes(8), struct.pack("<Q", 1 << 40), b"\xff" * 7 + b"\x7f")
                found[at : at + 8] = draw.choice(lies)
            case 3:
                found[at:at] = draw.randbytes(draw.randrange(1, 40))
            case 4:
                del found[at : at + draw.randrange(1, 600)]
            case _:
                other = draw.randrange(len(found))
                found[at : at + 32] = found[other : other + 32]
    return bytes(found)


def with_right_sums(data: bytes) -> bytes:
    """A tar whose headers have the checksums that they need, so that what is behind these is read, too."""
    found = bytearray(data)
    for at in range(0, len(found) - _CHUNK + 1, _CHUNK):
        if found[at + 257 : at + 262] == b"ustar":
            found[at + 148 : at + 156] = b" " * 8
            found[at + 148 : at + 156] = b"%06o\0 " % sum(found[at : at + _CHUNK])
    return bytes(found)


def mangle(count: int, seed: int, library: bytes, folder: Path) -> tuple[Counter[tuple[str, str]], float]:
    """Looks at so many damaged files in ``folder``, each by itself and as what the folder has: how often each
    kind came to what, and the longest in seconds."""
    draw = random.Random(seed)
    whole = seeds(library)
    kinds = ["elf", "elf", "macho", "pe", "wheel", "wheel", "docker save", "docker save", "oci"]
    results: Counter[tuple[str, str]] = Counter()
    longest = 0.0
    inside = folder / "mangled"
    inside.mkdir()
    for number in range(count):
        kind = draw.choice(kinds) if number % 20 else "library"
        data = mangled(whole[kind], draw)
        if kind in ("docker save", "oci") and draw.random() < 0.7:
            data = with_right_sums(data)
        path = inside / ("a.whl" if kind == "wheel" else "a.so")
        path.write_bytes(data)
        for what in (path, inside):
            begun = time.monotonic()
            results[kind, _came_to(str(what))] += 1
            longest = max(longest, time.monotonic() - begun)
        path.unlink()
    return results, longest


def _came_to(what: str) -> str:
    try:
        looked = folders.look(what, lambda _: None)
    except UnreadableError as error:
        return "unreadable" if "\n" not in str(error) else f"two lines: {error}"
    except Exception:
        return f"a traceback: {traceback.format_exc()}"
    return ("found" if looked.found else "nothing") + (", with problems" if looked.problems else "")


def main() -> None:
    count, seed, library = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]).read_bytes()
    with tempfile.TemporaryDirectory() as name:
        results, longest = mangle(count, seed, library, Path(name))
        left = sorted(os.listdir(name))  # noqa: PTH208
    for (kind, result), times in sorted(results.items()):
        print(f"{kind}: {result}: {times}")
    print(f"longest {longest:.2f} s, left behind {left}")


if __name__ == "__main__":
    main()
