package main

// void go3(void);
// void ready(void);
import "C"

import (
	"io"
	"runtime"
	"runtime/trace"
)

func main() {}

//export go3
func go3() {
	panic("panic")
}

func thread2() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer func() {
			recover()
			runtime.GC()
		}()
		C.go3()
	}()
	<-done
}

//export go1
func go1() {
	thread2()
}

func init() {
	trace.Start(io.Discard)
	C.ready()
}
