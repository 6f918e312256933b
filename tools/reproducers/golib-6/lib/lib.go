package main

// void ready(void);
import "C"

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {}

//export go4
func go4() {
	runtime.GC()
}

//export go6
func go6() {
}

//export go8
func go8() {
}

//export go10
func go10() {
}

//export go12
func go12() {
}

func init() {
	signal.Notify(make(chan os.Signal, 64), syscall.SIGUSR1)
	C.ready()
}
