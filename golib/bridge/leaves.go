// What a Go frame can do beside calling C: a leaf of the call tree is its class
// in golib/case/calltree.py and its function here.
package bridge

// #include "golib.h"
import "C"

import (
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"pytest-golib.invalid/bridge/g"
)

// kind is the number of a kind of node, made of its name on both sides
// (golib/run/program.py): FNV-1a, 31 bits.
func kind(name string) C.int32_t {
	number := uint32(0x811C9DC5)
	for i := range name {
		number = (number ^ uint32(name[i])) * 0x01000193
	}
	return C.int32_t(number & 0x7FFFFFFF)
}

// Those that run more than a function.
var threadKind, togetherKind, lockThreadKind = kind("Thread"), kind("Together"), kind("LockThread")

// leaves has a function for each Go leaf, by its kind. It returns by what its
// work is seen, where the runtime's fields do not show it, and 0 where they do.
// LockThread is not among them, because it has something left to undo.
var leaves = map[C.int32_t]func(*C.struct_node) uint64{
	kind("GC"):        collect,
	kind("Panic"):     panics,
	kind("Fault"):     faults,
	kind("Grow"):      func(n *C.struct_node) uint64 { return grow(int(n.stack)) },
	kind("Yield"):     yield,
	kind("Traceback"): traceback,
	kind("Goexit"):    exits,
	kind("Block"):     block,
	kind("Wake"):      wake,
	kind("Random"):    random,
	kind("Spin"):      spin,
	kind("Notify"):    relays,
	kind("Take"):      take,
	kind("Stop"):      stop,
	kind("Ignore"):    ignore,
	kind("Reset"):     reset,
	kind("TurnOn"):    func(n *C.struct_node) uint64 { return turn(n, true) },
	kind("TurnOff"):   func(n *C.struct_node) uint64 { return turn(n, false) },
}

// Leaf registers a function of the library's own as a leaf of a call tree,
// Do(name) there. It is for the library's init, in a file of its own that is
// built with golib only (//go:build golib):
//
//	import golib "pytest-golib.invalid/bridge"
//
//	func init() { golib.Leaf("read", func() { … }) }
func Leaf(name string, do func()) {
	names = append(names, name)
	leaves[kind("Do "+name)] = func(*C.struct_node) uint64 {
		do()
		return 1
	}
}

var names []string

// missing ends the process: the case calls a leaf that nobody has registered.
func missing(n *C.struct_node) {
	there := "it registers none"
	if len(names) > 0 {
		there = "it has " + strings.Join(names, ", ")
	}
	what := C.CString(fmt.Sprintf("node %d: the library registers no leaf of that name; %s", n.id, there))
	C.golib_fault(what)
	os.Exit(C.GOLIB_CALL_STATUS)
}

// random returns the bytes that it read.
func random(*C.struct_node) uint64 {
	read, _ := rand.Read(make([]byte, 64))
	return uint64(read)
}

// spin is seen by memstats.numgc, as collect is.
func spin(*C.struct_node) uint64 {
	var collected atomic.Bool
	go func() {
		runtime.GC()
		collected.Store(true)
	}()
	for !collected.Load() {
	}
	return 0
}

// collect is seen by memstats.numgc.
func collect(*C.struct_node) uint64 {
	runtime.GC()
	return 0
}

func panics(n *C.struct_node) uint64 {
	panic(fmt.Sprint("panic of node ", n.id))
}

// faults panics as the runtime does by itself, each way in a function of its
// own: the order is that of calltree.FAULTS.
func faults(n *C.struct_node) uint64 {
	var nowhere *uint64
	var zero uint64
	var none map[uint64]uint64

	switch n.argument {
	case 0:
		return *nowhere
	case 1:
		return 1 / zero
	case 2:
		return make([]uint64, 1)[zero+uint64(n.argument)]
	default:
		none[zero] = 1
	}
	return 0
}

func exits(*C.struct_node) uint64 {
	runtime.Goexit()
	return 0
}

// yield is seen by g.trackingSeq.
func yield(*C.struct_node) uint64 {
	runtime.Gosched()
	return 0
}

// traceback returns the bytes that it wrote.
func traceback(*C.struct_node) uint64 {
	return uint64(runtime.Stack(make([]byte, 1<<16), true))
}

// grow uses that many bytes of goroutine stack, so that it is moved, and
// returns how many of them are in use at its deepest.
//
//go:noinline
func grow(bytes int) (used uint64) {
	var room [1024]byte
	if bytes > len(room) {
		used = grow(bytes - len(room))
	} else {
		used = uint64(g.Used(uintptr(C.golib_roots.g_hi)))
	}
	runtime.KeepAlive(&room)
	return used
}

// block waits for a channel that another goroutine closes, and returns how many
// waits parked it. Once is not always enough: where the other is the faster,
// nobody waits.
func block(*C.struct_node) uint64 {
	for {
		hi, stops := ofG(C.golib_roots.g_hi, 8), ofG(C.golib_roots.g_stops, 1)
		opened := make(chan struct{})
		go close(opened)
		<-opened
		// A goroutine also stops while its stack is moved.
		parked := ofG(C.golib_roots.g_stops, 1) != stops && ofG(C.golib_roots.g_hi, 8) == hi
		if parked || C.golib_roots.g_stops == 0 {
			return 1
		}
	}
}

// ofG reads a field of the goroutine's g.
func ofG(offset C.uint64_t, size uint32) C.uint64_t {
	return load(g.Current(), uintptr(offset), size)
}

// How sync.Mutex counts who waits for it, in its first word: the same since
// Go 1.9 (internal/sync/mutex.go).
const mutexWaiterShift = 3

// wake unlocks a mutex that other goroutines wait for, and returns how many.
func wake(*C.struct_node) uint64 {
	var mu sync.Mutex
	done := make(chan struct{})
	mu.Lock()
	go func() {
		mu.Lock()
		mu.Unlock()
		close(done)
	}()
	waiting := int32(0)
	for waiting == 0 {
		runtime.Gosched()
		waiting = atomic.LoadInt32((*int32)(unsafe.Pointer(&mu))) >> mutexWaiterShift
	}
	mu.Unlock()
	<-done
	return uint64(waiting)
}
