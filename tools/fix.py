"""python -m tools fix: does the change that would mend a known issue mend it, and nothing else break?

tools/fixes/ID.toml is such a change, in the form of a mutant (tools/mutant.py). It becomes an overlay; with
it the issue's program (golib reproduce) must not show the fault any more, and tests/runtime must say that the
issue is gone, and pass.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from golib import reproduce
from golib.toolchains.toolchain import SpecError, resolve
from tools import mutant
from tools.base import ROOT, Parser, Stop

FIXES = ROOT / "tools" / "fixes"
PROOF = ("tests/runtime/test_known_issues.py", "-k")
SUITE = ("tests/runtime", "-n", "auto", "--golib-fuzz", "0")


def main(argv: Sequence[str]) -> int:
    """0 where the program passes with the change, and the suite says that the issue is gone; 1 where not; 2
    for a mistake."""
    parser = Parser("fix", __doc__)
    parser.add_argument("id", metavar="ID", help="of a known issue for which tools/fixes has a change")
    parser.add_argument("--go", default="go", metavar="SPEC", help="a release that has it, as for pytest")
    parser.add_argument("--suite", action="store_true", help="run all of tests/runtime, not the proof alone")
    parser.add_argument("--seconds", type=int, default=20, help="for each run of the program")
    parser.add_argument("--to", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    try:
        return _fix(options)
    except (Stop, SpecError, mutant.MutantError, mutant.DoesNotApply) as error:
        print(error, file=sys.stderr)
        return 2


def _fix(options: argparse.Namespace) -> int:
    changes = {one.id: one for one in mutant.load(FIXES)}
    if options.id not in changes:
        raise Stop(f"{options.id}: tools/fixes has no change for it; there are {', '.join(changes)}")
    [toolchain, *_], _ = resolve([options.go])
    with tempfile.TemporaryDirectory(prefix="golib-fix-") as folder:
        overlay = changes[options.id].write(toolchain, Path(folder))
        given = [f"--go={options.go}", f"--seconds={options.seconds}"]
        program = options.to or Path(folder) / "program"
        shown = reproduce.main([options.id, *given, f"--out={program}", f"--go-overlay={overlay}"])
        chosen = SUITE if options.suite else (*PROOF, options.id)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen,
             f"--go={options.go}", f"--go-overlay={overlay}"],
            cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    print(done.stdout[-3000:])
    gone = f"\n{options.id}: gone (" in done.stdout
    said = "is gone" if gone else "is not said to be gone"
    print(
        f"{options.id} with the change: the suite {'passes' if done.returncode == 0 else 'fails'}; it {said}"
    )
    return 0 if shown == 1 and gone and done.returncode == 0 else 1
