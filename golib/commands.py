"""The command ``golib VERB …``, also ``python -m golib``: each verb takes its own arguments and gives an
exit status."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from golib.case import places

USAGE = 2
"""Exit status where the command line makes no sense."""

_PACKAGE = Path(__file__).parent


def suite(arguments: Sequence[str]) -> NoReturn:
    """``golib suite [pytest's options]`` runs golib's own tests of Go.  The exit status is pytest's.

    The suite lies in the package, so nothing of the folder that the user stands in has a say: neither an
    ini file, nor a conftest.py, nor a module.  What pytest keeps between runs goes to that folder, as it
    always does.
    """
    from golib.options import joined  # which loads pytest
    from golib.shards import suite_folder

    folder = suite_folder()
    cache = Path.cwd() / ".pytest_cache"
    ours = [
        f"--config-file={folder / 'suite.ini'}",
        f"--rootdir={folder}",
        *("-o", f"cache_dir={cache}"),
        f"--golib-failures={cache / 'golib-failures'}",
    ]
    command = [sys.executable, "-m", "pytest", *ours, *joined(arguments), str(folder)]
    # As python -P, for xdist's workers and golib's fork servers too.
    os.environ["PYTHONSAFEPATH"] = "1"
    # In this process pytest would find golib imported already, and warn that it cannot rewrite its asserts.
    os.execv(sys.executable, command)


def show_places(arguments: Sequence[str]) -> int:
    """``golib places`` lists where ``golib.everywhere`` runs a test, a line each."""
    if arguments:
        print(f"golib places takes no argument, and was given {arguments[0]!r}", file=sys.stderr)
        return USAGE
    print("\n".join(places.lines()))
    return 0


def show_footprint(arguments: Sequence[str]) -> int:
    """``golib footprint [--go SPEC]…`` shows what loading Go does to its host's process, release by release.

    Exit status 1 where a release changes what nothing lets it change."""
    from golib import footprint
    from golib.toolchains import build, toolchain

    parser = argparse.ArgumentParser("golib footprint", description="what loading Go does to your process")
    parser.add_argument("--go", action="append", default=[], metavar="SPEC", help="as for pytest; repeatable")
    parser.add_argument("--go-overlay", metavar="FILE", help="Go's own overlay JSON for the build")
    options = parser.parse_args(arguments)
    try:
        toolchain.check_platform()
        overlay = Path(options.go_overlay).absolute() if options.go_overlay else None
        if overlay:
            build.check_overlay(overlay)
        chosen, missing = toolchain.resolve(options.go)
        found = {}
        for one in chosen:
            library = build.build(one, overlay=overlay, progress=lambda line: print(line, file=sys.stderr))
            found[one.name] = footprint.footprint(library)
    except (toolchain.SpecError, build.BuildError, footprint.FootprintError) as error:
        print(error, file=sys.stderr)
        return USAGE
    for gone in missing:
        print(f"{gone.version} is not available: {gone.why}", file=sys.stderr)
    print("\n".join(footprint.table(found)))
    bad = footprint.wrong(found)
    for line in bad:
        print(f"nothing that is written lets Go do this: {line}")
    return 1 if bad else 0


def reproduce(arguments: Sequence[str]) -> int:
    """``golib reproduce CASE`` makes a C + Go program of a case, and runs it."""
    from golib import reproduce as reproducing  # loads all that judges, which no other verb needs

    return reproducing.main(arguments)


def audit(arguments: Sequence[str]) -> int:
    """``golib audit [PATH…]`` says which Go built the shared libraries there, and what is known of it."""
    from golib import audit as auditing

    return auditing.main(arguments, version)


def bisect(arguments: Sequence[str]) -> int:
    """``golib bisect CASE --good A --bad B`` says which release, or commit, brought a fault or mended it."""
    from golib import bisection

    return bisection.main(arguments)


def validate(arguments: Sequence[str]) -> int:
    """``golib validate [SPEC…]`` judges Go releases, and gives a verdict for each."""
    from golib import shards, validate

    return validate.main(arguments, shards.suite_folder(), version())


def show_history(arguments: Sequence[str]) -> int:
    """``golib history`` says since which release each known issue shows, and until which."""
    from golib import validate

    return validate.show_history(arguments)


def merge(arguments: Sequence[str]) -> int:
    """``golib merge FILE…`` puts together what the shards of ``golib validate``, or of a run of pytest, have
    written; the files say which it was."""
    from golib import shards, validate

    return shards.main(arguments) if any(map(_is_of_a_run, arguments)) else validate.merge(arguments)


def search(arguments: Sequence[str]) -> int:
    """``golib search --on ADDRESS`` runs the search on a cluster of dask's."""
    from golib import search as searching

    return searching.main(arguments)


def _is_of_a_run(name: str) -> bool:
    try:
        return "results" in json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


VERBS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "suite": (suite, "judge a Go: run golib's own tests, with pytest's options and golib's (--go, …)"),
    "footprint": (show_footprint, "show what loading Go does to your process, release by release (--go, …)"),
    "places": (show_places, "list the places where golib.everywhere runs a test, and what breaks there"),
    "reproduce": (reproduce, "make a small C + Go program of a case, run it, and write an issue's text"),
    "audit": (audit, "say which Go built the libraries of an environment, and which known issues they have"),
    "validate": (validate, "judge Go releases: a verdict for each, kept, as JSON and as a page"),
    "merge": (
        merge,
        "put together what golib validate --json, or pytest --golib-json, has written in shards",
    ),
    "search": (search, "run exhaustive, hunt or the fuzzer on a cluster of dask's, in shards"),
    "history": (show_history, "say since which Go release each known issue shows, and until which"),
    "bisect": (bisect, "find the Go release, or the commit, with which a fault came or went"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Without ``arguments``, those of the process.  Exit status 2 when they name no verb."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    name, rest = (given[0], given[1:]) if given else ("", [])
    if name in VERBS:
        return VERBS[name][0](rest)
    if name == "--version":
        print(f"golib {version()}")
        return 0
    if name in ("-h", "--help"):
        verbs = "".join(f"  {verb:<11}{purpose}\n" for verb, (_, purpose) in VERBS.items())
        print(f"usage: golib VERB …\n       golib --version\n\n{verbs}", end="")
        return 0
    said = f"{name!r} is no verb of golib" if name else "golib needs a verb"
    print(f"{said}; name one of: {', '.join(VERBS)} (golib --help says what each does)", file=sys.stderr)
    return USAGE


def version() -> str:
    """Of the installed distribution."""
    from importlib import metadata  # which loads more than all of golib audit

    try:
        return metadata.version("pytest-golib")
    except metadata.PackageNotFoundError:
        return "from a checkout that is not installed"
