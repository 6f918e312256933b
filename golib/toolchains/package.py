"""A Go main package of anybody's, and what the go command must be told to link golib's bridge into it.

Nothing of the user's is changed.  A file more, which an overlay lays into the package, imports the bridge; a
copy of go.mod (-modfile), or of go.work (GOWORK) where the package belongs to a workspace, says where the
bridge is: in go.mod relative to the module, for that path gets into the library's build information.

The go command takes no -modfile beside a vendor folder, and with -mod=mod it passes over patches in it.
Each module in there is therefore replaced by its folder, to which the overlay adds the go.mod that vendoring
leaves out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from golib.toolchains.toolchain import Toolchain

BRIDGE = Path(__file__).parent.parent / "bridge"
"""golib's own Go package, which is linked into each library under test."""

BRIDGE_PATH = "pytest-golib.invalid/bridge"
"""Its import path, and that of its module: .invalid is nobody's (RFC 2606)."""

LINK_FILE = "golib_links_the_bridge.go"
"""The name of the file more: in nobody's package, and without an ending that means a platform."""

LIST_SECONDS = 300
"""For a go list or the like: it may have to download what the package needs."""

# Of the go command's output in a message, characters; the first errors are the telling ones.
_OUTPUT_LIMIT = 4000

_EXPORT = re.compile(r"^//export (\S+)", re.MULTILINE)
# "go: go.mod requires go >= 1.99 (running go 1.27.4; GOTOOLCHAIN=local)", since Go 1.21.
_NEWER = re.compile(r"requires go >= (\S+) \(running go")


class BuildError(Exception):
    """A library cannot be built: one sentence, then what the go command said."""


class PackageError(BuildError):
    """The folder holds no package that golib can make a library of: one sentence."""


class NewerError(BuildError):
    """The package, or one that it needs, wants a newer Go than the one under test: one sentence."""


@dataclass
class Linked:
    """What a build of a package with the bridge in it needs beside golib's flags."""

    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    replacements: dict[str, bytes | None] = field(default_factory=dict)
    """The whole overlay, the user's and golib's: contents by the path of what they replace."""


@dataclass(frozen=True)
class Go:
    """A go command, run in a package's folder with the environment of golib's builds."""

    toolchain: Toolchain
    package: Path
    environment: Mapping[str, str]

    def __call__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """What it prints.  Raises BuildError, NewerError where the toolchain is too old."""
        done = self.run(arguments, LIST_SECONDS, environment or {})
        if done.returncode != 0:
            raise refusal(self.toolchain, self.package, done.stderr)
        return done.stdout

    def run(
        self, arguments: Sequence[str], seconds: float, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """The ended process.  Raises BuildError when it cannot be run or takes too long."""
        go = self.toolchain.go
        try:
            return subprocess.run(
                [str(go), *arguments],
                cwd=self.package,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except OSError as error:
            raise BuildError(f"{go} cannot be run in {self.package}: {error}") from error
        except subprocess.TimeoutExpired as error:
            name = self.toolchain.name
            raise BuildError(f"{name} did not build {self.package} within {seconds:.0f} s") from error


def exported(source: str) -> list[str]:
    """What a Go file exports to C."""
    return _EXPORT.findall(source)


def bounded(output: str) -> str:
    """A command's output as a message may hold it."""
    if len(output) <= _OUTPUT_LIMIT:
        return output
    return f"{output[:_OUTPUT_LIMIT]}\n… and {len(output)} characters in all"


def refusal(toolchain: Toolchain, package: Path, output: str) -> BuildError:
    """The error for what the go command said of a package."""
    output = output.strip()
    if newer := _NEWER.search(output):
        return NewerError(
            f"package {package}: wants Go {newer[1]} or later, and {toolchain.name} is Go {toolchain.version}"
        )
    output = bounded(output)
    return BuildError(f"{toolchain.name} cannot build {package}:\n{output}")


def check_folder(package: Path) -> None:
    """Raises PackageError unless it is a folder: more is for the go command to say."""
    if not package.is_dir():
        raise PackageError(f"package {package}: is no folder; name the folder of a Go main package")


def link(
    go: Go,
    replacements: Mapping[str, bytes | None],
    lay: Callable[[Mapping[str, bytes | None]], str],
    modules: Path,
    folder: Path,
) -> Linked:
    """Links the bridge.

    replacements: the user's overlay.  lay(replacements) writes an overlay and gives the go command's argument
    that names it.  modules is the module cache of golib's builds, folder is for what the build needs until
    its end.

    Raises PackageError, NewerError, and BuildError with the go command's own words.
    """
    own = json.loads(go("env", "-json", "GOMOD", "GOWORK", "GOPROXY", "GOMODCACHE"))
    module = Path(own["GOMOD"])
    if module.name != "go.mod":
        raise PackageError(f"package {go.package}: belongs to no module; give its folder a go.mod")
    workspace = _workspace(go, own["GOWORK"], module.parent)
    made = Linked(["-tags=golib"], {"GOWORK": "off", **_modules(own, modules)})
    if workspace:
        made.environment["GOWORK"] = str(workspace)
    files = _cgo_files(go, lay(replacements), made.environment)
    made.replacements[str(go.package / LINK_FILE)] = f'package main\n\nimport _ "{BRIDGE_PATH}"\n'.encode()
    if workspace:
        _join_workspace(go, workspace, made, folder)
    else:
        _join_module(go, module, made, folder)
    made.replacements = {**replacements, **made.replacements}
    made.arguments.append(lay(made.replacements))
    if not any(_exports(file, replacements) for found in (files, _imported(go, made)) for file in found):
        raise PackageError(
            f"package {go.package}: exports no function to C, nor does what it imports;"
            ' write import "C", and //export NAME in the line above a function'
        )
    return made


def _cgo_files(go: Go, overlay: str, environment: Mapping[str, str]) -> list[Path]:
    """Those of the package itself, which must be a main package."""
    # -find: its imports are not looked at, and may be missing as yet.
    fields = "-json=Name,Dir,CgoFiles,Error"
    seen = json.loads(go("list", "-e", "-find", fields, overlay, ".", environment=environment))
    if "Error" in seen:
        why = " ".join(seen["Error"]["Err"].split())
        raise PackageError(f"package {go.package}: {why}; name the folder of a Go main package")
    if seen["Name"] != "main":
        raise PackageError(
            f"package {go.package}: is package {seen['Name']}, and a library is made of a main package;"
            " name the folder of that"
        )
    return _files(seen)


def _imported(go: Go, made: Linked) -> Iterator[Path]:
    """The cgo files of all packages that it imports, but for Go's and golib's own."""
    fields = "-json=Standard,ImportPath,Dir,CgoFiles"
    text = go("list", "-e", "-deps", fields, *made.arguments, ".", environment=made.environment)
    for seen in _objects(text):
        if not seen.get("Standard") and not seen["ImportPath"].startswith(BRIDGE_PATH):
            yield from _files(seen)


def _files(seen: Mapping[str, Any]) -> list[Path]:
    return [Path(seen["Dir"]) / name for name in seen.get("CgoFiles", ())]


def _objects(text: str) -> list[dict[str, Any]]:
    """JSON objects, one behind the other."""
    decoder = json.JSONDecoder()
    found = []
    while text := text.lstrip():
        one, end = decoder.raw_decode(text)
        found.append(one)
        text = text[end:]
    return found


def _exports(file: Path, replacements: Mapping[str, bytes | None]) -> bool:
    content = replacements.get(str(file))
    text = file.read_bytes() if content is None else content
    return bool(_EXPORT.search(text.decode(errors="replace")))


def _modules(own: Mapping[str, str], modules: Path) -> dict[str, str]:
    """A module cache of golib's own, for fetched toolchains lie below the user's, where an overlay may
    replace nothing.  It is filled from the user's: what is there is not downloaded again."""
    downloaded = Path(own["GOMODCACHE"]) / "cache" / "download"
    proxies = {"GOPROXY": f"file://{quote(str(downloaded))},{own['GOPROXY']}"} if downloaded.is_dir() else {}
    return {"GOMODCACHE": str(modules), **proxies}


def _workspace(go: Go, path: str, module: Path) -> Path | None:
    """The go.work that the module belongs to.  One further up that does not name it is somebody else's: a
    virtual environment may lie anywhere."""
    if not path:
        return None
    work = Path(path)
    used = json.loads(go("work", "edit", "-json", path)).get("Use") or ()
    folders = {(work.parent / one["DiskPath"]).resolve() for one in used}
    return work if module.resolve() in folders else None


def _join_module(go: Go, module: Path, made: Linked, folder: Path) -> None:
    copy = folder / "go.mod"
    copy.write_bytes(module.read_bytes())
    sums = module.with_name("go.sum")
    if sums.exists():
        (folder / "go.sum").write_bytes(sums.read_bytes())
    edits = [f"-require={BRIDGE_PATH}@v0.0.0", f"-replace={BRIDGE_PATH}={_relative(BRIDGE, module.parent)}"]
    for path, version in _vendored(module.parent, made):
        edits += [f"-require={path}@{version}", f"-replace={path}@{version}=./vendor/{path}"]
    go("mod", "edit", *edits, str(copy))
    made.arguments += ["-mod=mod", f"-modfile={copy}"]


def _join_workspace(go: Go, work: Path, made: Linked, folder: Path) -> None:
    # Not an overlay, which Go 1.21 passes over. Elsewhere its paths must be absolute.
    copy = folder / "go.work"
    copy.write_bytes(work.read_bytes())
    sums = work.with_name("go.work.sum")
    if sums.exists():
        (folder / "go.work.sum").write_bytes(sums.read_bytes())
    edits = [f"-use={BRIDGE.resolve()}"]
    said = json.loads(go("work", "edit", "-json", str(work)))
    for used in said["Use"]:
        path = used["DiskPath"]
        edits += [f"-dropuse={path}", f"-use={(work.parent / path).resolve()}"]
    for replaced in said.get("Replace") or ():
        old, new = replaced["Old"], replaced["New"]
        if new["Path"].startswith(("./", "../")):
            version = f"@{old['Version']}" if "Version" in old else ""
            edits.append(f"-replace={old['Path']}{version}={(work.parent / new['Path']).resolve()}")
    for path, version in _vendored(work.parent, made):
        edits.append(f"-replace={path}@{version}={work.parent / 'vendor' / path}")
    go("work", "edit", *edits, str(copy))
    made.environment["GOWORK"] = str(copy)


def _relative(path: Path, start: Path) -> str:
    relative = os.path.relpath(path.resolve(), start.resolve())
    return relative if relative.startswith("..") else f"./{relative}"


def _vendored(root: Path, made: Linked) -> list[tuple[str, str]]:
    """The modules in a vendor folder, path and version, which get a go.mod each.

    Its modules.txt is the go command's own (cmd/go/internal/modload, vendor.go): a line "# PATH VERSION" for
    each module, more where it was replaced, and below it "## " with what go.mod said, such as "go 1.20".
    """
    try:
        lines = (root / "vendor" / "modules.txt").read_text().splitlines()
    except FileNotFoundError:
        return []
    modules: list[tuple[str, str]] = []
    for line in lines:
        words = line.split()
        if line.startswith("# ") and len(words) > 2 and words[2] != "=>":
            modules.append((words[1], words[2]))
            _describe(root, words[1], "", made)
        elif line.startswith("## ") and modules:
            said = re.search(r"\bgo (\S+)", line)
            _describe(root, modules[-1][0], f"\ngo {said[1]}\n" if said else "", made)
    return modules


def _describe(root: Path, path: str, rest: str, made: Linked) -> None:
    made.replacements[str(root / "vendor" / path / "go.mod")] = f"module {path}\n{rest}".encode()
