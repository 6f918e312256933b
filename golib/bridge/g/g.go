// Package g reads the g register. It holds no cgo, because a package that
// does may hold no Go assembly.
package g

import "unsafe"

// Current returns the g that runs: in a callback, the goroutine.
func Current() unsafe.Pointer

// CReader returns the address of a function that C can call as
// void *(*)(void): it returns the thread's g, which is g0 of its M when C
// runs, and NULL on a thread that never called Go.
func CReader() unsafe.Pointer

// forC has a declaration because without one Go 1.21 does not link it.
func forC()
