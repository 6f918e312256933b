"""python -m tools record: keeps the trace of a known issue's proof, for tests/framework/test_known.py.

The proof runs until it shows the issue. What the child left, events, end and words, goes as it is into
tests/framework/traces/ID.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import golib
from golib.door import DEADLINE, flavour
from golib.judge import known
from golib.toolchains import build
from golib.toolchains.toolchain import SpecError, resolve
from tools.base import ROOT, Parser, Stop, write_json

TRACES = ROOT / "tests" / "framework" / "traces"
RUNS = 400
"""Of a proof, until it shows its issue: golib-8 does once in some 25."""
SECONDS = 4.0
"""For a run of a proof that shows at a rate: it takes two tenths of one."""


def main(argv: Sequence[str]) -> int:
    """0 when all were kept, 2 when there is nothing to keep."""
    parser = Parser("record", __doc__)
    parser.add_argument("id", nargs="+", metavar="ID", help="of a known issue; repeatable")
    parser.add_argument("--go", default="", metavar="SPEC", help="a release that has it, as for pytest")
    parser.add_argument("--to", type=Path, default=TRACES, metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    try:
        for name in options.id:
            _record(name, options.go, options.to)
    except (Stop, SpecError, build.BuildError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _record(name: str, spec: str, folder: Path) -> None:
    issue = next((one for one in known.shipped() if one.id == name), None)
    if issue is None:
        raise Stop(
            f"{name}: no known issue is called that; there are {', '.join(one.id for one in known.shipped())}"
        )
    [toolchain, *_], _ = resolve([spec] if spec else [])
    if not issue.affects(toolchain.version):
        raise Stop(f"{name}: {toolchain.version} is not in its range; name one of {issue.releases} by --go")
    subject = golib.open(build.build(toolchain, flavour=flavour(issue.proof)))
    for _ in range(1 if issue.rate == 1 else RUNS):
        ended = subject.ended(issue.proof, SECONDS if issue.rate < 1 else DEADLINE)
        outcome = subject.judge(issue.proof, ended)
        if issue.shown_by(outcome):
            break
    else:
        raise Stop(f"{name}: its proof does not show it on {toolchain.version}: {outcome.signature}")
    path = folder / f"{name.replace('#', '-')}.json"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            "version": toolchain.version,
            "case": issue.proof.to_json(),
            "stack_guard": subject.library.layout.stack_guard,
            "ended": ended.to_json(),
        },
    )
    print(f"{path.relative_to(ROOT)}: {len(ended.record.events)} events, {outcome.signature}")
