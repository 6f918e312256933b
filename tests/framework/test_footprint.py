"""What loading Go does to its host: what is seen, and that what nothing allows is found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from golib import footprint
from golib.door import Subject
from golib.toolchains.build import SEED, build
from golib.toolchains.toolchain import Toolchain

BREAKS = {
    "umask": ("syscall.Umask(0)", "umask was 0o22, and is 0o0"),
    "handler": (
        "signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)",
        "handler of SIGUSR1 was default, and is",
    ),
    "ignored": ("signal.Ignore(syscall.SIGTERM)", "handler of SIGTERM was default, and is ignored"),
    "limit": (
        "syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 0, Max: 0})",
        "RLIMIT_CORE was [",
    ),
    "folder": ('os.Chdir("/")', "working directory was "),
    "timer": (
        "syscall.Syscall(syscall.SYS_SETITIMER, 2, uintptr(unsafe.Pointer(&[4]int64{1000, 0, 1000, 0})), 0)",
        "interval timer 2 was [0, 0, 0, 0]",
    ),
}
FILE = """package main

import (
	"os"
	"os/signal"
	"syscall"
	"unsafe"
)

var _, _, _, _ = os.Getpid, signal.Stop, syscall.Getpid, unsafe.Pointer(nil)

func init() { %s }
"""


def test_what_go_does_is_what_it_may_do(subject: Subject) -> None:
    found = footprint.footprint(subject.library)
    assert found.wrong() == []
    changed = found.changed()
    assert "handler of SIGSEGV" in changed
    assert changed["threads"][0] == 1 < changed["threads"][-1]


@pytest.mark.parametrize("name", BREAKS)
def test_what_it_may_not_do_is_found(go_on_path: Toolchain, tmp_path: Path, name: str) -> None:
    line, sentence = BREAKS[name]
    (tmp_path / "broken.go").write_text(FILE % line)
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"Replace": {str(SEED / "broken.go"): "broken.go"}}))
    library = build(go_on_path, overlay=overlay)
    wrong = footprint.footprint(library).wrong()
    assert any(one.startswith(sentence) for one in wrong), wrong


def test_threads_that_leave_descriptors_behind_are_found(go_on_path: Toolchain, tmp_path: Path) -> None:
    text = (SEED / "seed.go").read_text().replace("func GoEmpty() {}", "func GoEmpty() { syscall.Dup(0) }")
    (tmp_path / "seed.go").write_text(text.replace('import "runtime"', 'import ("runtime"; "syscall")'))
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"Replace": {str(SEED / "seed.go"): "seed.go"}}))
    wrong = footprint.footprint(build(go_on_path, overlay=overlay)).wrong()
    assert any("by threads that called Go and ended" in one for one in wrong), wrong


def test_the_command(go_on_path: Toolchain) -> None:
    command = [sys.executable, "-m", "golib", "footprint"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "handler of SIGSEGV: default\n    each: loaded: the library, SA_ONSTACK" in done.stdout
    assert "as before in each: " in done.stdout
    done = subprocess.run([*command, "--go", "1.16"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
