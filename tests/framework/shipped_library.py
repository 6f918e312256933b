"""A small Go library without golib's bridge, as somebody might ship it, and Python functions that use it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from golib.toolchains.toolchain import Toolchain

_GO = """
package main

// #include <signal.h>
// #include <stdint.h>
// #include <pthread.h>
// static void mask(void) {
// 	sigset_t set;
// 	sigemptyset(&set);
// 	sigaddset(&set, SIGUSR2);
// 	pthread_sigmask(SIG_BLOCK, &set, 0);
// }
import "C"

import (
	"os"
	"runtime"
)

func main() {}

//export Add
func Add(a, b int32) int32 { return a + b }

//export Panic
func Panic() { panic("as shipped") }

//export Hang
func Hang() { select {} }

//export Mask
func Mask() { C.mask() }

var kept []*os.File

//export Keep
func Keep() {
	file, err := os.Open("/dev/null")
	if err != nil {
		panic(err)
	}
	kept = append(kept, file)
	started := make(chan bool)
	go func() {
		runtime.LockOSThread()
		started <- true
		select {}
	}()
	<-started
}
"""

MODULE = "shipped_scenarios"
_PYTHON = """
import ctypes, os

lib = ctypes.CDLL({path!r})
lib.Add.argtypes = (ctypes.c_int32, ctypes.c_int32)
lib.Add.restype = ctypes.c_int32
attribute = ctypes.create_string_buffer(64)
libc = ctypes.CDLL(None)
libc.pthread_self.restype = ctypes.c_void_p
libc.pthread_getattr_np.argtypes = (ctypes.c_void_p, ctypes.c_void_p)

calls = 0
def add():
    assert lib.Add(40, 2) == 42

def panic(): lib.Panic()
def hang(): lib.Hang()
def mask(): lib.Mask()
def keep(): lib.Keep()
def leave(): os._exit(0)
def nothing(): pass
def fails(): 1 / 0

def mask_the_second():
    global calls
    calls += 1
    if calls == 2:
        lib.Mask()

def python_asks():
    assert libc.pthread_getattr_np(libc.pthread_self(), attribute) == 0
"""


def build(toolchain: Toolchain, folder: Path) -> Path:
    """The library, with its scenarios' module beside it."""
    (folder / "main.go").write_text(_GO)
    (folder / "go.mod").write_text("module example.com/shipped\n\ngo 1.21\n")
    library = folder / "libshipped.so"
    environment = {name: value for name, value in os.environ.items() if name not in ("GOROOT", "GOFLAGS")}
    done = subprocess.run(
        [str(toolchain.go), "build", "-buildmode=c-shared", "-o", str(library), "."],
        cwd=folder,
        env=environment | {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / f"{MODULE}.py").write_text(_PYTHON.format(path=str(library)))
    return library
