"""The command golib, from the wheel: what somebody has who has no checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from golib import commands

ROOT = Path(__file__).parents[2]


SECONDS = 300
"""For making the wheel, which fetches setuptools, and for a run of pytest."""


def golib(folder: Path, *arguments: str, package: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """``python -m golib`` of that package, in the folder."""
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return subprocess.run(
        [sys.executable, "-P", "-m", "golib", *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sweet"], "'sweet' is no verb of golib"),
        ([], "golib needs a verb"),
        (["--go", "1.27"], "'--go' is no verb of golib"),
    ],
)
def test_what_names_no_verb_is_refused_in_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(arguments) == 2
    captured = capsys.readouterr()
    verbs = ", ".join(commands.VERBS)
    assert captured.err == f"{said}; name one of: {verbs} (golib --help says what each does)\n"
    assert not captured.out


def test_help_says_what_each_verb_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["--help"]) == 0
    said = capsys.readouterr().out
    for verb, (_, purpose) in commands.VERBS.items():
        assert f"  {verb:<11}{purpose}\n" in said


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder whose settings and modules are not for golib's suite."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -k nothing\n")
    (folder / "conftest.py").write_text("raise RuntimeError('not of the suite')\n")
    for name in ("golib", "pytest", "signal"):
        (folder / f"{name}.py").write_text(f"raise RuntimeError('not {name}')\n")
    return folder


def test_the_suite_of_the_checkout_runs_from_anywhere(hostile: Path) -> None:
    done = golib(hostile, "suite", "-k", "test_fuzz", "--golib-fuzz=1", "--golib-json", "r.json", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout
    assert (hostile / "r.json").exists()
    assert not (ROOT / "tests" / "runtime" / ".pytest_cache").exists()


def test_a_mistake_in_an_option_has_pytests_exit_status(hostile: Path) -> None:
    done = golib(hostile, "suite", "--go", "banana")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert re.search(r"^ERROR: banana: not a Go toolchain", done.stderr, re.MULTILINE)


def test_the_wheel_has_all_that_a_run_needs(hostile: Path, tmp_path: Path) -> None:
    source, wheels, installed = (tmp_path / name for name in ("source", "wheels", "installed"))
    # A copy: making a wheel leaves a build folder where the source is.
    left_out = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build")
    shutil.copytree(ROOT, source, ignore=left_out)
    made = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(wheels), str(source)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    [wheel] = wheels.glob("pytest_golib-*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(installed)
    version = wheel.name.split("-")[1]
    assert golib(hostile, "--version", package=installed).stdout == f"golib {version}\n"
    [entry_points] = installed.glob("*.dist-info/entry_points.txt")
    assert "[console_scripts]\ngolib = golib.commands:main\n" in entry_points.read_text()
    suite = installed / "golib" / "suite"
    assert {path.name for path in suite.glob("*.py")} == {
        path.name for path in (ROOT / "tests" / "runtime").glob("*.py")
    }
    done = golib(hostile, "suite", "-k", "test_edges", "-n", "2", "-v", package=installed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"rootdir: {suite}\n" in done.stdout
    assert re.search(r"^edges .* passed", done.stdout, re.MULTILINE)
