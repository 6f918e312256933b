// What a process may have turned on, from the beginning or while a case runs.
package bridge

// #include <stdlib.h>
// #include "golib.h"
import "C"

import (
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"syscall"
	"unsafe"
)

// A switch of a process, in the order of calltree.SWITCHES.
type onOff struct {
	name string
	turn func(on bool)
}

var switches = []onOff{
	{"notify", func(bool) {
		// The signal that a Signal leaf sends reaches Go's handler.
		signal.Notify(make(chan os.Signal, 64), syscall.SIGUSR1)
	}},
	{"trace", func(on bool) {
		if on {
			must(trace.Start(traceWriter()))
		} else {
			trace.Stop()
		}
	}},
	{"cpuprofile", func(on bool) {
		if on {
			must(pprof.StartCPUProfile(io.Discard))
		} else {
			pprof.StopCPUProfile()
		}
	}},
	{"blockprofile", func(on bool) { runtime.SetBlockProfileRate(rate(on, 1, 0)) }},
	{"mutexprofile", func(on bool) { runtime.SetMutexProfileFraction(rate(on, 1, 0)) }},
	{"memprofile", func(on bool) { runtime.MemProfileRate = rate(on, 1, 512*1024) }},
}

func rate(on bool, then, otherwise int) int {
	if on {
		return then
	}
	return otherwise
}

// begin turns on what the case's world asks for, before any call comes in.
func begin() {
	for _, one := range switches {
		if wants(one.name) {
			one.turn(true)
		}
	}
}

func turn(n *C.struct_node, on bool) uint64 {
	switches[n.argument].turn(on)
	return 0
}

// traceFile takes the execution trace, if somebody wants to read it.
var traceFile *os.File

func traceWriter() io.Writer {
	s := C.CString("GOLIB_TRACE")
	defer C.free(unsafe.Pointer(s))
	path := C.GoString(C.getenv(s))
	if path == "" {
		return io.Discard
	}
	var err error
	traceFile, err = os.Create(path)
	must(err)
	return traceFile
}

//export golibStopTrace
func golibStopTrace() {
	trace.Stop()
	must(traceFile.Close())
}

func wants(what string) bool {
	s := C.CString(what)
	defer C.free(unsafe.Pointer(s))
	return C.golib_wants(s) != 0
}

func must(err error) {
	if err != nil {
		s := C.CString(err.Error())
		C.golib_fault(s)
	}
}
