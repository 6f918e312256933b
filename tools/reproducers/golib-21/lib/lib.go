package main

// void ready(void);
import "C"

import (
	"runtime"
	"sync/atomic"
)

func main() {}

//export go2
func go2() {
	spin()
}

func init() {
	C.ready()
}

// spin is a loop that calls nothing, until another goroutine has collected.
func spin() {
	var collected atomic.Bool
	go func() {
		runtime.GC()
		collected.Store(true)
	}()
	for !collected.Load() {
	}
}
