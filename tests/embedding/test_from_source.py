"""Other people's libraries, built by the Go that is judged, in every place."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path
from typing import Any

from stacks import on_another_stack

import golib

JSONNET = "github.com/google/go-jsonnet@v0.22.0"


def _module(name: str) -> Path:
    """Where the go command keeps that module, which it fetches there."""
    done = subprocess.run(
        ["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True, env=os.environ
    )
    return Path(done.stdout.strip()) / name


jsonnet = golib.package(_module(JSONNET) / "c-bindings")
sqlite = golib.package("./sqlite")


@golib.everywhere(sqlite)
def test_sqlite_calls_back(lib: Any) -> None:
    assert lib.SqlSum(10, lib.map_fn(lambda value: value * value)) == 385


@golib.everywhere(sqlite)
def test_sqlite_calls_back_on_another_stack(lib: Any) -> None:
    """The host's function calls SQLite again from a coroutine's stack."""

    def again(value: int) -> int:
        found: list[int] = []
        on_another_stack(lambda: found.append(lib.SqlSum(value, lib.map_fn(lambda inner: inner))))
        return found[0]

    assert lib.SqlSum(3, lib.map_fn(again)) == 1 + 3 + 6


@golib.everywhere(jsonnet)
def test_jsonnet_native_callback(lib: Any) -> None:
    vm = lib.jsonnet_make()

    def double(_: int, arguments: int, success: int) -> int:
        [argument] = (ctypes.c_void_p * 1).from_address(arguments)
        number = ctypes.c_double()
        lib.jsonnet_json_extract_number(vm, argument, number)
        ctypes.c_int.from_address(success).value = 1
        return int(lib.jsonnet_json_make_number(vm, 2 * number.value))

    names = (ctypes.c_char_p * 2)(b"x", None)
    lib.jsonnet_native_callback(vm, "double", lib.JsonnetNativeCallback(double), None, names)
    failed = ctypes.c_int()
    text = lib.jsonnet_evaluate_snippet(vm, "snippet", "std.native('double')(21)", failed)
    assert (failed.value, text) == (0, b"42\n")
    lib.jsonnet_realloc(vm, text, 0)
    lib.jsonnet_destroy(vm)


@golib.everywhere(jsonnet)
def test_jsonnet_import_callback(lib: Any) -> None:
    vm = lib.jsonnet_make()
    asked: list[bytes] = []

    def laid(data: bytes) -> int:
        room = lib.jsonnet_realloc(vm, None, len(data))
        ctypes.memmove(room.address, data, len(data))
        return int(room.address)

    def find(_: int, base: bytes, name: bytes, found: int, text: int, size: int) -> int:
        asked.append(name)
        ctypes.c_void_p.from_address(found).value = laid(name + b"\0")
        ctypes.c_void_p.from_address(text).value = laid(b"{x: 42}")
        ctypes.c_size_t.from_address(size).value = 7
        return 0

    lib.jsonnet_import_callback(vm, lib.JsonnetImportCallback(find), None)
    failed = ctypes.c_int()
    text = lib.jsonnet_evaluate_snippet(vm, "snippet", "(import 'it.libsonnet').x", failed)
    assert (failed.value, text, asked) == (0, b"42\n", [b"it.libsonnet"])
    lib.jsonnet_realloc(vm, text, 0)
    lib.jsonnet_destroy(vm)
