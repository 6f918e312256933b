"""python -m tools NAME …: each tool is a module of this package with `main(argv) -> exit status`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

TOOLS = {
    "bench": "what a call from C into Go costs",
    "curve": "whether guided drawing shows more than drawing alone",
    "filters": "whether what --golib-exhaustive leaves out says no more than what it runs",
    "fix": "whether the change that would mend a known issue mends it",
    "record": "keeps the trace of a known issue's proof",
    "samples": "whether programs made of drawn cases do what the cases do",
    "soak": "whether a very long search stays as small as it began and leaves nothing behind",
    "mutate": "whether the suite notices each line of the runtime's change being broken",
}


def main(argv: Sequence[str]) -> int:
    """Exit status 2 when argv names no tool."""
    if argv and argv[0] in TOOLS:
        return int(importlib.import_module(f"tools.{argv[0]}").main(argv[1:]))
    usage = "\n".join(f"  {name:<8}{purpose}" for name, purpose in TOOLS.items())
    if argv and argv[0] in ("-h", "--help"):
        print(f"usage: python -m tools NAME …\n\n{usage}")
        return 0
    said = f"{argv[0]!r} is no tool" if argv else "which tool?"
    print(f"{said}; name one of\n{usage}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
