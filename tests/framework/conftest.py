"""What the tests of golib itself share: the bridge of the Go on PATH, and its broken twin."""

from __future__ import annotations

from pathlib import Path

import pytest
import shipped_library as shipped_library_module
from broken import write_overlay

import golib
from golib.door import Subject
from golib.toolchains.build import build
from golib.toolchains.toolchain import Toolchain, resolve


@pytest.fixture(scope="session")
def go_on_path() -> Toolchain:
    return resolve([])[0][0]


@pytest.fixture(scope="session")
def subject(go_on_path: Toolchain, testrun_uid: str) -> Subject:
    """The bridge as it is.  The workers of a run build it once."""
    return golib.open(build(go_on_path, session=testrun_uid))


@pytest.fixture(scope="session")
def broken(go_on_path: Toolchain, testrun_uid: str, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """The bridge's broken twin: see ``broken.Break``."""
    overlay = write_overlay(tmp_path_factory.mktemp("twin"))
    return golib.open(build(go_on_path, overlay=overlay, session=testrun_uid))


@pytest.fixture(scope="session")
def shipped_library(go_on_path: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Go library that golib did not build; each worker builds it, in a second."""
    return shipped_library_module.build(go_on_path, tmp_path_factory.mktemp("shipped"))
