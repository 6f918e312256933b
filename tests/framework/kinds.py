"""A Go package with an export of each kind, as a user would write it."""

from __future__ import annotations

import json
from pathlib import Path

from golib.toolchains.build import BRIDGE, SEED

SOURCE = r"""package main

// #include <stdint.h>
// typedef void (*visit_fn)(int);
// typedef int64_t (*map_fn)(int64_t, void *);
// typedef int plain_fn(int);
// static int plain(plain_fn *f, int i) { return f(i); }
// static void visit(visit_fn f, int i) { f(i); }
// static int64_t apply(map_fn f, int64_t i, void *p) { return f(i, p); }
// struct point { int32_t x; double y; };
import "C"
import "unsafe"

//export KVisit
func KVisit(n C.int, f C.visit_fn) {
	for i := C.int(0); i < n; i++ {
		C.visit(f, i)
	}
}

//export KVisitElsewhere
func KVisitElsewhere(f C.visit_fn) {
	done := make(chan bool)
	go func() { C.visit(f, 7); close(done) }()
	<-done
}

//export KMap
func KMap(n int64, f C.map_fn, p unsafe.Pointer) int64 { return int64(C.apply(f, C.int64_t(n), p)) }

//export KPlain
func KPlain(n C.int, f *C.plain_fn) C.int { return C.plain(f, n) }

//export KLen
func KLen(s string) int { return len(s) }

//export KEcho
func KEcho(s string) string { return s }

//export KConst
func KConst() string { return "constant" }

//export KHeap
func KHeap(n int) string { return string(make([]byte, n)) }

//export KChar
func KChar() *C.char { return C.CString("new") }

//export KCharLen
func KCharLen(s *C.char) int { return len(C.GoString(s)) }

//export KDouble
func KDouble(s []int64) (sum int64) {
	for i := range s {
		sum += s[i]
		s[i] *= 2
	}
	return
}

//export KSlice
func KSlice(s []int16) []int16 { return s }

//export KTwo
func KTwo(a int8, b uint64) (n int32, ok bool, f float64) { return int32(a), b > 0, float64(b) }

//export KNot
func KNot(b bool) bool { return !b }

//export KFloat
func KFloat(f float32) float32 { return f * 2 }

//export KSame
func KSame(v uint64) uint64 { return v }

//export KPoint
func KPoint(p C.struct_point) C.struct_point { p.x++; return p }

//export KAny
func KAny(a interface{}) bool { return a == nil }

//export KComplex
func KComplex(c complex128) complex128 { return c }
"""


def write_package(folder: Path) -> Path:
    """As a module of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "go.mod").write_text("module example.com/kinds\n\ngo 1.21\n")
    (folder / "kinds.go").write_text(f"{SOURCE}\nfunc main() {{}}\n")
    return folder


def write_overlay(folder: Path, source: str = SOURCE, **replaced: str) -> Path:
    """An overlay that adds these exports to the seed's library, and replaces files of the bridge."""
    replace = {}
    for path, text in {
        SEED / "kinds.go": source,
        **{BRIDGE / name: text for name, text in replaced.items()},
    }.items():
        (folder / path.name).write_text(text)
        replace[str(path)] = path.name
    overlay = folder / "overlay.json"
    overlay.write_text(json.dumps({"Replace": replace}))
    return overlay
