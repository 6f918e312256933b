// The seed's functions, by the seed's names: what Go's own test of callbacks on
// various stacks exports (cmd/cgo/internal/testcarchive/testdata/libgo9), and
// the function that its benchmark calls (libgo10). A library like any other:
// golib links its bridge into it.
package main

// #include "seed.h"
import "C"

import "runtime"

func main() {}

//export GoF
func GoF(p int32) {
	runtime.GC()
	if p != 0 {
		panic("panic")
	}
}

//export callGoWithVariousStackAndGoFrame
func callGoWithVariousStackAndGoFrame(p int32) {
	if p != 0 {
		defer func() {
			if recover() == nil {
				panic("did not panic")
			}
			runtime.GC()
		}()
	}
	C.callGoWithVariousStack(C.int(p))
}

// GoEmpty is the function that the seed's benchmark calls (libgo10).
//
//export GoEmpty
func GoEmpty() {}
