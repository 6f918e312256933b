// Package g reads the g register. It holds no cgo, because a package that
// does may hold no Go assembly.
package g

import "unsafe"

// Current returns the g that runs: in a callback, the goroutine.
func Current() unsafe.Pointer

// Used returns how many bytes of the goroutine's stack are in use. hi: where in
// g the upper end of its stack stands, in bytes. No safe point lies between
// reading that end and reading SP, so the stack is not moved meanwhile.
func Used(hi uintptr) uintptr

// CReader returns the address of a function that C can call as
// void *(*)(void): it returns the thread's g, which is g0 of its M when C
// runs, and NULL on a thread that never called Go.
func CReader() unsafe.Pointer

// forC has a declaration because without one Go 1.21 does not link it.
func forC()
