// Package bridge runs call trees in the Go shared library that it is linked
// into: a main package of anybody's, built with -buildmode=c-shared by the
// toolchain under test, on that toolchain's unmodified runtime. The package
// need not know of it: golib adds a file with one blank import
// (golib/toolchains/build.py).
package bridge

// // Python looks the C functions up by their names, whatever CGO_CFLAGS says.
// #cgo CFLAGS: -fvisibility=default
// #cgo LDFLAGS: -Wl,--wrap=pthread_getattr_np -Wl,--wrap=crosscall2
// #include "golib.h"
import "C"

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"pytest-golib.invalid/bridge/g"
)

func init() {
	C.golib_read_g = (*[0]byte)(g.CReader())
	begin()
	C.golib_set_ready()
}

// golibGo is the Go frame of a call tree. A frame without recover has no
// defer at all, so that a panic finds nothing of ours on its way. It returns
// the complement of value, by which C sees that no bit of either was lost.
//
//export golibGo
func golibGo(n *C.struct_node, value uint64) uint64 {
	record(n, C.GOLIB_ENTERED)
	frame(n)
	record(n, C.GOLIB_LEAVING)
	return ^value
}

func frame(n *C.struct_node) {
	if n.recover != 0 || n.ndeferred != 0 {
		guarded(n)
	} else {
		body(n)
	}
}

func guarded(n *C.struct_node) {
	defer func() {
		if n.recover != 0 && recover() != nil {
			record(n, C.GOLIB_RECOVERED)
		}
		run(n, n.deferred, n.ndeferred)
	}()
	body(n)
}

func body(n *C.struct_node) { run(n, n.body, n.nbody) }

func run(parent *C.struct_node, first *C.struct_thunk, count C.int32_t) {
	for i := range unsafe.Slice(first, int(count)) {
		// Not a copy: C may keep the address while the frame runs.
		t := (*C.struct_thunk)(unsafe.Add(unsafe.Pointer(first), i*C.sizeof_struct_thunk))
		step(parent, t)
	}
}

func step(parent *C.struct_node, t *C.struct_thunk) {
	n := (*C.struct_node)(t.arg)
	n.thread = parent.thread
	if leaf := leaves[n.kind]; leaf != nil {
		did := leaf(n)
		recordDid(n, C.GOLIB_DID, did)
		return
	}
	switch n.kind {
	case lockThreadKind:
		runtime.LockOSThread()
		runtime.Gosched()
		// Before it is unlocked: m.lockedExt shows what it did.
		record(n, C.GOLIB_DID)
		runtime.UnlockOSThread()
	case threadKind:
		record(n, C.GOLIB_BEFORE)
		start(n)()
		n.thread = parent.thread
		record(n, C.GOLIB_AFTER)
	case togetherKind:
		record(n, C.GOLIB_BEFORE)
		together(n)
		record(n, C.GOLIB_AFTER)
	default:
		if t.fn == nil {
			missing(n)
		}
		// A native frame: one cgocall. n.thread is set again by C.
		record(n, C.GOLIB_BEFORE)
		C.golib_call(t)
		n.thread = parent.thread
		record(n, C.GOLIB_AFTER)
	}
}

// start starts a thread of the tree and returns what waits for its end.
func start(n *C.struct_node) (join func()) {
	if n.start != nil {
		C.golib_start(n)
		return func() { C.golib_join(n) }
	}
	// A thread that Go makes: a goroutine locked to it, never unlocked, so
	// that the thread ends with it.
	done := make(chan struct{})
	mute := n.thread.mute
	go func() {
		defer close(done)
		runtime.LockOSThread()
		n.mute = mute
		recordDid(n, C.GOLIB_ENTERED, uint64(C.golib_begin_thread(n)))
		frame(n)
		record(n, C.GOLIB_LEAVING)
	}()
	return func() { <-done }
}

func together(n *C.struct_node) {
	gate := C.golib_gate_new(n.nbody)
	var joins []func()
	for _, t := range unsafe.Slice(n.body, int(n.nbody)) {
		thread := (*C.struct_node)(t.arg)
		thread.gate = gate
		thread.thread = n.thread
		joins = append(joins, start(thread))
	}
	for _, join := range joins {
		join()
	}
	C.golib_gate_free(gate)
}

// record appends an event, as record.c does, without a call to C.
func record(n *C.struct_node, phase uint8) { recordDid(n, phase, 0) }

func recordDid(n *C.struct_node, phase uint8, did uint64) {
	thread := n.thread
	if thread.mute != 0 {
		return
	}
	h := C.golib_header
	slot := atomic.AddUint32((*uint32)(unsafe.Pointer(&h.next)), 1) - 1
	if slot >= uint32(h.capacity) {
		// C's next event says so in words.
		return
	}
	e := (*C.struct_event)(unsafe.Add(unsafe.Pointer(C.golib_events), uintptr(slot)*C.sizeof_struct_event))
	gp := g.Current()
	m := *(*unsafe.Pointer)(unsafe.Add(gp, C.golib_roots.g_m))
	base := [...]unsafe.Pointer{
		C.GOLIB_IN_G0:       *(*unsafe.Pointer)(unsafe.Add(m, C.golib_roots.m_g0)),
		C.GOLIB_IN_M:        m,
		C.GOLIB_IN_CURG:     gp,
		C.GOLIB_IN_SCHED:    *(*unsafe.Pointer)(unsafe.Pointer(&C.golib_roots.sched)),
		C.GOLIB_IN_MEMSTATS: *(*unsafe.Pointer)(unsafe.Pointer(&C.golib_roots.memstats)),
	}
	e.node = n.id
	e.phase = C.uint8_t(phase)
	e.in_go = 1
	e.goroutines = C.uint16_t(runtime.NumGoroutine())
	e.tid = thread.tid
	e.queries = thread.queries
	e.told_lo, e.told_hi = thread.told_lo, thread.told_hi
	e.sp = C.uint64_t(uintptr(unsafe.Pointer(&slot)))
	e.m = C.uint64_t(uintptr(m))
	e.did = C.uint64_t(did)
	for i := range e.values {
		f := &C.golib_fields[i]
		e.values[i] = load(base[f.base], uintptr(f.offset), uint32(f.size))
	}
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&e.committed)), uint32(h.generation))
}

func load(base unsafe.Pointer, offset uintptr, size uint32) C.uint64_t {
	at := unsafe.Add(base, offset)
	switch size {
	case 1:
		return C.uint64_t(*(*uint8)(at))
	case 2:
		return C.uint64_t(*(*uint16)(at))
	case 4:
		return C.uint64_t(*(*uint32)(at))
	case 8:
		return C.uint64_t(*(*uint64)(at))
	}
	return 0
}
