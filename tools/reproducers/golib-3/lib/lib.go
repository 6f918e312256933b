package main

// void ready(void);
import "C"

import (
	"io"
	"runtime/trace"
)

func main() {}

//export go3
func go3() {
}

func init() {
	trace.Start(io.Discard)
	C.ready()
}
