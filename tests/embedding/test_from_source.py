"""Other people's libraries, built by the Go that is judged, in every place."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from stacks import on_another_stack

import golib

JSONNET = "github.com/google/go-jsonnet@v0.22.0"
USUAL = "go-jsonnet"
"""Runs by default: SQLite takes half a minute to compile, for each Go."""


def chosen(name: str) -> bool:
    names = os.environ.get("GOLIB_EMBEDDING", USUAL).split(",")
    return name in names or "all" in names


def only(name: str) -> pytest.MarkDecorator:
    reason = f"{name} runs with GOLIB_EMBEDDING={name}, or GOLIB_EMBEDDING=all"
    return pytest.mark.skipif(not chosen(name), reason=reason)


def module(name: str) -> Path:
    """Where the go command keeps that module, which it fetches there."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", name],
        cwd=tempfile.gettempdir(),  # in no module
        env=os.environ | {"GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"{name} cannot be fetched: {done.stdout}{done.stderr}", allow_module_level=True)
    return Path(json.loads(done.stdout)["Dir"])


jsonnet = golib.package(module(JSONNET) / "c-bindings" if chosen("go-jsonnet") else "./mylib")
sqlite = golib.package("./sqlite" if chosen("go-sqlite3") else "./mylib")


@only("go-sqlite3")
@golib.everywhere(sqlite)
def test_sqlite_calls_back(lib: Any) -> None:
    assert lib.SqlSum(10, lib.map_fn(lambda value: value * value)) == 385


@only("go-sqlite3")
@golib.everywhere(sqlite)
def test_sqlite_calls_back_on_another_stack(lib: Any) -> None:
    """The host's function calls SQLite again from a coroutine's stack."""

    def again(value: int) -> int:
        found: list[int] = []
        on_another_stack(lambda: found.append(lib.SqlSum(value, lib.map_fn(lambda inner: inner))))
        return found[0]

    assert lib.SqlSum(3, lib.map_fn(again)) == 1 + 3 + 6


@only("go-jsonnet")
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


@only("go-jsonnet")
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
