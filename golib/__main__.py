"""``python -m golib VERB …``: the command ``golib``."""

from __future__ import annotations

import sys

from golib.commands import main

if __name__ == "__main__":
    sys.exit(main())
