"""Where a scenario runs: each place is a legal case, is listed, and a scenario passes there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from test_plugin import Suite
from test_scenario import HEAD

from golib.case import legality
from golib.case.calltree import Case, IllegalCase, Python, Thread, parse
from golib.case.places import PLACES


@pytest.mark.parametrize("name", PLACES)
def test_a_place_is_a_legal_case_and_survives_its_text(name: str) -> None:
    case = PLACES[name].case("test_it.py::test_it[main]")
    legality.check(case)
    assert case.calls() == ("test_it.py::test_it[main]",)
    assert parse(repr(case)) == case
    assert Case.from_json(case.to_json()) == case


def test_a_scenario_has_no_body_and_needs_room() -> None:
    with pytest.raises(IllegalCase, match="a scenario has no body"):
        legality.check(Case(Python(Python(), call="it")))
    with pytest.raises(IllegalCase, match="a scenario and the Go that it calls needs 19456 bytes"):
        legality.check(Case(Thread(Python(call="it"), stack=16384)))


def test_the_command_lists_the_places() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "golib", "places"], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(PLACES)
    assert all(line.endswith(f"({place.report})") for line, place in zip(lines, PLACES.values(), strict=True))


def test_a_scenario_passes_in_every_place_and_runs_there(tmp_path: Path) -> None:
    suite = Suite(tmp_path)
    text = """
import threading

@golib.everywhere(mylib)
def test_it(lib, request):
    place = request.node.callspec.id
    lib.GoEmpty()
    lib.GoF(0)
    main = threading.get_native_id() == os.getpid()
    assert main != place.startswith(("python", "native", "memory", "together", "short", "loaded"))
"""
    suite.write("test_it.py", HEAD + text)
    seen = suite.run("--golib-no-known-issues", "-rs")
    assert seen.status == 0, seen.output
    passed = len(PLACES) - ("1 skipped" in seen.output)
    seen.says(f"{passed} passed")
