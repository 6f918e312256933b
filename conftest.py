"""What this repository's suites share.  pytest puts this folder on sys.path for it, where the tests find
``tools``."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    # A shell ignores SIGINT in what it runs in the background, and what the tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
