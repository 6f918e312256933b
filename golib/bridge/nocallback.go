//go:build go1.24

package bridge

// #cgo nocallback golib_call_back
// void golib_call_back(void *);
import "C"

import "unsafe"

func init() {
	leaves[kind("NoCallback")] = func(n *C.struct_node) uint64 {
		C.golib_call_back(unsafe.Pointer(n))
		return 0
	}
}
