package main

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
	runtime.Stack(make([]byte, 1<<16), true)
}

//export go6
func go6() {
}

//export go9
func go9() {
}

//export go12
func go12() {
}

func init() {
	trace.Start(io.Discard)
	C.ready()
}
