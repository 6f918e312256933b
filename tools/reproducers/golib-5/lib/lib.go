package main

// void ready(void);
import "C"

import (
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/trace"
	"syscall"
)

func main() {}

//export go3
func go3() {
	runtime.GC()
}

//export go5
func go5() {
}

//export go7
func go7() {
	block()
}

//export go9
func go9() {
}

func init() {
	trace.Start(io.Discard)
	signal.Notify(make(chan os.Signal, 64), syscall.SIGUSR1)
	C.ready()
}

// block waits for a channel that another goroutine closes.
func block() {
	opened := make(chan struct{})
	go close(opened)
	<-opened
}
