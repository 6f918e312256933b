"""What each tool does: takes options, writes a result, shows a table, says in a sentence why it cannot."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from golib.toolchains.toolchain import SpecError, Toolchain, resolve

ROOT = Path(__file__).parent.parent

WIDTH = 200
"""Of a table that is not shown on a terminal, characters."""


class Stop(Exception):
    """The tool cannot go on: one sentence."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the options in one sentence, exit status 2."""

    def __init__(self, tool: str, module: str | None) -> None:
        """``module``: the tool's docstring, which begins with ``python -m tools NAME: what it does``."""
        purpose = (module or "").partition("\n")[0].partition(": ")[2]
        super().__init__(prog=f"python -m tools {tool}", description=purpose)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}; {self.prog} --help lists the options\n")


def one_go(spec: str) -> Toolchain:
    """The one toolchain that the spec names. Raises SpecError, also where it names several."""
    found, _ = resolve([spec])
    if len(found) > 1:
        raise SpecError(f"--go {spec}: it names {len(found)} releases; name one, such as {found[0].version}")
    return found[0]


def writable(option: str, path: Path | None) -> None:
    """Fails before the work, not after it. Raises Stop."""
    if path is not None:
        try:
            path.touch()
        except OSError as error:
            raise Stop(f"{option} {path}: cannot be written: {error.strerror}; name another file") from error


def write_json(path: Path | None, document: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def console() -> Any:
    """rich's, on stdout. Raises Stop where rich is not installed."""
    try:
        from rich.console import Console
    except ImportError as error:
        raise Stop("the table needs rich; run `pip install 'pytest-golib[tools]'`") from error
    # A file or a pipe has no width that a row would have to fit.
    return Console(width=None if sys.stdout.isatty() else WIDTH)
