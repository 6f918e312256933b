"""Other people's Go libraries as their wheels ship them: fetched once, into the folder ``wheels`` of golib's
cache, each into a folder of its own, and never into the environment that runs the tests.

GOLIB_EMBEDDING names those that run, parted by commas, or ``all``; without it one runs, as in CI, and one of
those from source (test_from_source.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import filelock
import platformdirs
import pytest

import golib
from golib.door import FromOutside
from golib.toolchains import shipped
from golib.toolchains.outside import Outside

SCENARIOS = Path(__file__).parent / "scenarios"
WHEELS = {
    "starlark-go": "1.0.1",
    "gojsonnet": "0.22.0",
    "pyyescrypt": "0.2.2",
    "tls-client": "2.0.0",
}
"""The versions whose faults are asserted."""
USUAL = "starlark-go"
FETCH_SECONDS = 120
"""For one wheel of some megabytes."""


@cache
def wheel(name: str) -> FromOutside:
    """The distribution's Go library, driven as shipped.  Skips where it is not to run, or not to be had."""
    chosen = os.environ.get("GOLIB_EMBEDDING", USUAL).split(",")
    if name not in chosen and "all" not in chosen:
        pytest.skip(f"{name} runs with GOLIB_EMBEDDING={name}, or GOLIB_EMBEDDING=all")
    folder = fetched(f"{name}=={WHEELS[name]}")
    (library,) = shipped.find(folder)
    subject = golib.open(Outside(library.path, (str(folder), str(SCENARIOS), str(SCENARIOS.parent))))
    assert isinstance(subject, FromOutside)
    return subject


def fetched(requirement: str) -> Path:
    """The folder with that distribution in it.  Skips where pip cannot fetch it, in pip's last words."""
    home = os.environ.get("GOLIB_CACHE")
    cache_folder = Path(home).expanduser() if home else platformdirs.user_cache_path("golib")
    folder = cache_folder / "wheels" / f"{requirement}-{sys.implementation.cache_tag}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{folder}.lock", timeout=2 * FETCH_SECONDS):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
                target = Path(draft) / "target"
                _pip("install", "--no-deps", "--only-binary=:all:", f"--target={target}", requirement)
                target.rename(folder)
    return folder


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries=0"]
    try:
        done = subprocess.run(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"pip did not fetch {arguments[-1]} within {FETCH_SECONDS} s; look at the network")
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["nothing"]
        pytest.skip(
            f"{arguments[-1]} could not be fetched for this Python, pip says: {said[-1]}; look at the"
            " network, or run the tests with a Python that the wheel is for"
        )


@pytest.fixture(scope="session", params=WHEELS)
def name(request: pytest.FixtureRequest) -> str:
    """Of a distribution: each of them."""
    return str(request.param)


@pytest.fixture(scope="session")
def get_wheel() -> Callable[[str], FromOutside]:
    return wheel
