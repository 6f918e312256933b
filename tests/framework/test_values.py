"""Exports with values: called by Python as ``lib``, and in the tree as ``Export(args=, returns=)``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import kinds
import pytest

import golib
from golib import C, Case, Export, Go, IllegalCase, Python, Stack, Thread
from golib.case import calltree, prototype
from golib.door import Subject
from golib.judge.model import Rule
from golib.judge.outcome import Kind
from golib.toolchains.build import BRIDGE, build
from golib.toolchains.toolchain import Toolchain

BIG = (1 << 63) + 5


@pytest.fixture(scope="module")
def with_kinds(go_on_path: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return golib.open(build(go_on_path, overlay=kinds.write_overlay(tmp_path_factory.mktemp("kinds"))))


def in_python(subject: Subject, body: str) -> subprocess.CompletedProcess[str]:
    """Runs the lines with ``lib`` in a process of their own: Go must not be loaded into pytest's."""
    exports = json.dumps(prototype.to_json(subject.library.exports))
    program = f"""
import ctypes, json, sys
from golib.case import prototype
from golib.run.exports import Loaded
lib = Loaded({str(subject.library.path)!r}, prototype.from_json(json.loads(sys.argv[1])))

def refused(call, *args):
    try:
        call(*args)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        return f"{{type(error).__name__}}: {{error}}"

def fails(value, *more):
    raise KeyError(f"callback {{value}}")

{body}
"""
    return subprocess.run(
        [sys.executable, "-c", program, exports], capture_output=True, text=True, check=False, timeout=60
    )


def holds(subject: Subject, body: str) -> None:
    done = in_python(subject, body)
    said = [line for line in done.stderr.splitlines() if not line.startswith("golib: a callback has raised ")]
    assert (done.returncode, said) == (0, [])


def test_python_calls_exports_of_each_kind(with_kinds: Subject) -> None:
    holds(
        with_kinds,
        f"""
assert lib.KLen("añ") == 3 and lib.KLen(b"\\0\\0") == 2 and lib.KCharLen("abc") == 3
assert lib.KConst() == "constant" and lib.KEcho("añ") == "añ"
assert lib.KSame({BIG}) == {BIG} and lib.KFloat(0.5) == 1.0 and lib.KNot(True) == 0
two = lib.KTwo(-5, 3)
assert two == (-5, 1, 3.0) and two.r0 == -5
assert lib.KPoint((1, 0.5)).x == 2
assert lib.KAny(None) == 1
chars = lib.KChar()
assert chars == b"new" and lib.KCharLen(chars) == 3
""",
    )


def test_go_reads_and_writes_a_slice(with_kinds: Subject) -> None:
    holds(
        with_kinds,
        """
slice = lib.slice("int64", [1, 2, 1 << 40])
assert lib.KDouble(slice) == 3 + (1 << 40) and list(slice) == [2, 4, 1 << 41]
back = lib.slice("int16", [-1, 5])
assert lib.values("int16", lib.KSlice(back)) == [-1, 5]
""",
    )


def test_callbacks_are_called(with_kinds: Subject) -> None:
    holds(
        with_kinds,
        """
seen = []
lib.KVisit(3, lib.visit_fn(seen.append))
lib.KVisitElsewhere(lib.visit_fn(seen.append))
assert seen == [0, 1, 2, 7]
assert lib.KMap(1 << 40, lib.map_fn(lambda value, _: value + 1), None) == (1 << 40) + 1
""",
    )


@pytest.mark.parametrize(
    "call",
    [
        "lib.KVisit(3, lib.visit_fn(fails))",
        "lib.KMap(0, lib.map_fn(fails), None)",
        # The inner export raises in the outer one's callback, which keeps it in its turn.
        "lib.KVisit(1, lib.visit_fn(lambda _: lib.KVisit(1, lib.visit_fn(fails))))",
    ],
)
def test_an_exception_in_a_callback_is_raised_when_the_export_returns(with_kinds: Subject, call: str) -> None:
    done = in_python(with_kinds, f"{call}\nprint('went on')")
    assert done.returncode == 1
    assert done.stderr.endswith("KeyError: 'callback 0'\n")
    assert not done.stdout


def test_an_exception_on_a_thread_of_gos_is_raised_too(with_kinds: Subject) -> None:
    assert in_python(with_kinds, "lib.KVisitElsewhere(lib.visit_fn(fails))").stderr.endswith("'callback 7'\n")


def test_a_raised_exception_is_not_raised_again(with_kinds: Subject) -> None:
    holds(
        with_kinds,
        """
try:
    lib.KVisit(1, lib.visit_fn(fails))
except KeyError:
    assert lib.KNot(0) == 1
else:
    raise SystemExit("not raised")
""",
    )


REFUSED = (
    ("lib.KLen", "3", "TypeError: KLen: the argument s is 3, and GoString takes str or bytes"),
    ("lib.KNot", "256", "OverflowError: KNot: the argument b is 256, and GoUint8 holds 0 to 255"),
    ("lib.KSame", "True", "TypeError: KSame: the argument v is True, and GoUint64 takes an int; a bool is"),
    ("lib.KTwo", "1", "TypeError: KTwo takes 2 arguments, not 1; it is struct KTwo_return (GoInt8 a, GoUint"),
    ("lib.KFloat", "1e300", "OverflowError: KFloat: the argument f is 1e+300, which GoFloat32 cannot hold"),
    ("lib.KCharLen", "'a\\0b'", "ValueError: KCharLen: the argument s is 'a\\x00b', which char* would end"),
    ("lib.KDouble", "[1]", "TypeError: KDouble: the argument s is [1], and GoSlice takes bytes, or its elem"),
    ("lib.KPoint", "(1, 'x')", "TypeError: KPoint: the argument p has a field y that is 'x', and double ta"),
    ("lib.KVisit", "1, print", "TypeError: KVisit: the argument f is <built-in function print>, and visit_"),
    ("lib.KAny", "1", "TypeError: KAny: the argument a is 1, and GoInterface takes None, for C cannot make"),
    ("lib.KComplex", "1j", "TypeError: KComplex: the argument c is of type GoComplex128, which golib cannot"),
    ("lib.slice", "'int', [1]", "TypeError: slice: no elements of type 'int'; the types are "),
    (
        "lib.slice",
        "'int8', [300]",
        "OverflowError: slice: the argument has the element 300, which is no int8",
    ),
    ("lib.visit_fn", "3", "TypeError: visit_fn: 3 cannot be called; give it a function"),
    ("getattr", "lib, 'Nope'", "AttributeError: the library exports no Nope, and none of its exports takes"),
)


def test_a_wrong_call_is_refused_in_one_sentence(with_kinds: Subject) -> None:
    lines = [f"print(refused({call}, {args}))" for call, args, _ in REFUSED]
    said = in_python(with_kinds, "\n".join(lines)).stdout.splitlines()
    for line, (call, args, wanted) in zip(said, REFUSED, strict=True):
        assert line.startswith(wanted), (call, args)


EXPORTS = (
    Export(name="KSame", args=(BIG,), returns=BIG),
    Export(name="KTwo", args=(-1, 3), returns=(-1, True, 3.0)),
    Export(name="KLen", args=("añ",), returns=3),
    Export(name="KDouble", args=(("int64", (1, 2)),), returns=3),
    Export(name="KSlice", args=(("int16", (1, -2)),), returns=("int16", (1, -2))),
    Export(name="KConst", returns="constant"),
    Export(name="KChar", returns=b"new"),
    Export(name="KEcho", args=(b"x\0\xff",), returns=b"x\0\xff"),
    Export(name="KPoint", args=((1, 0.5),), returns=(2, 0.5)),
    Export(name="KFloat", args=(0.25,), returns=0.5),
    Export(name="KNot", args=(True,), returns=False),
    Export(name="KSame", args=(5,)),
)


@pytest.mark.parametrize("export", EXPORTS, ids=str)
def test_an_export_with_values_survives_json_and_repr(export: Export) -> None:
    case = Case(export)
    assert calltree.parse(repr(case)) == case
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case


@pytest.mark.parametrize(
    "trees",
    [
        EXPORTS,
        (Go(*EXPORTS),),
        (C(*EXPORTS, stack=40_000), Python(*EXPORTS), Stack(*EXPORTS)),
        (Thread(*EXPORTS), Thread(*EXPORTS, kind="python"), Thread(Go(*EXPORTS))),
    ],
    ids=["main", "go", "frames", "threads"],
)
def test_a_case_calls_exports_with_values(with_kinds: Subject, trees: tuple[calltree.Node, ...]) -> None:
    outcome = with_kinds.run(Case(*trees))
    assert outcome.kind is Kind.PASSED, outcome


@pytest.mark.parametrize("export", [one for one in EXPORTS if one.returns is not None], ids=str)
def test_another_value_is_a_divergence(with_kinds: Subject, export: Export) -> None:
    other: Any = {int: 77, float: 77.0, bool: True, str: "other", bytes: b"other"}.get(type(export.returns))
    if isinstance(export.returns, tuple):
        last = export.returns[-1]
        other = (*export.returns[:-1], (1, 2) if isinstance(last, tuple) else last + 1)
    wrong = Export(name=export.name, args=export.args, returns=other)
    [found] = with_kinds.run(Case(wrong)).divergences
    assert (found.rule, found.node, found.field) == (Rule.VALUE, 0, "did")


def test_a_lost_upper_half_is_found_and_can_be_read(go_on_path: Toolchain, tmp_path: Path) -> None:
    whole = "func KSame(v uint64) uint64 { return v }"
    assert whole in kinds.SOURCE
    source = kinds.SOURCE.replace(whole, "func KSame(v uint64) uint64 { return uint64(uint32(v)) }")
    subject = golib.open(build(go_on_path, overlay=kinds.write_overlay(tmp_path, source)))
    [found] = subject.run(Case(C(EXPORTS[0]))).divergences
    assert (found.rule, found.expected, found.seen) == (Rule.VALUE, BIG, 5)


def test_a_result_in_gos_heap_ends_by_cgocheck(with_kinds: Subject) -> None:
    outcome = with_kinds.run(Case(Export(name="KHeap", args=(5,))))
    assert outcome.kind is Kind.FATAL
    assert "result of Go function KHeap called from cgo" in outcome.headline


@pytest.mark.parametrize(
    ("export", "why"),
    [
        (Export(name="Nope"), "the library exports no Nope; it has GoEmpty, GoF, KAny"),
        (Export(name="KSame"), r"KSame takes 1 arguments, not 0; it is GoUint64 \(GoUint64 v\)"),
        (Export(name="KSame", args=(-1,)), "KSame: the argument v is -1, and GoUint64 holds 0 to "),
        (Export(name="KSame", args=(1,), returns=-1), "KSame: the result is -1, and GoUint64 holds"),
        (Export(name="KFloat", args=(1.0,), returns=0.1), "cannot hold exactly; write 0.10000000149011612"),
        (Export(name="KFloat", args=(1.0,), returns=2), "GoFloat32 gives a float; write 2.0"),
        (Export(name="KVisit", args=(0, None), returns=1), "it has no result, so returns=1 can never come"),
        (Export(name="KSame", args=(float("nan"),)), "args is a tuple of int, finite float"),
        (Export(name="KSame", args=[1]), "args is a tuple of int, finite float"),  # type: ignore[arg-type]
        (Export(name="KSame", args=(1,), p=1), "p= belongs to the seed's exports; write args="),
        (Export(name="GoF", args=(1,)), "GoF takes p= and gives nothing; leave out args="),
        (Export(C(), name="KConst"), "only callGoWithVariousStackAndGoFrame has a C side"),
        (Export(name="no name"), "name is that of an export of the library"),
    ],
    ids=str,
)
def test_a_wrong_prototype_is_refused_before_anything_runs(
    with_kinds: Subject, export: Export, why: str
) -> None:
    with pytest.raises(IllegalCase, match=why):
        with_kinds.run(Case(export))


def test_a_lost_upper_half_in_a_go_frame_is_found_in_every_case(
    go_on_path: Toolchain, tmp_path: Path
) -> None:
    bridge = (BRIDGE / "bridge.go").read_text()
    assert "return ^value\n" in bridge
    lost = {"bridge.go": bridge.replace("return ^value\n", "return uint64(uint32(^value))\n")}
    subject = golib.open(build(go_on_path, overlay=kinds.write_overlay(tmp_path, **lost)))
    found = subject.run(Case(C(Go()))).divergences
    assert [(one.rule, one.node, one.seen & 0xFFFFFFFF) for one in found] == [(Rule.VALUE, 1, 0)]
