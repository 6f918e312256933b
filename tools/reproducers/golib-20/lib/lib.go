package main

// void ready(void);
import "C"

import (
	"os/signal"
	"syscall"
)

func main() {}

//export go2
func go2() {
	signal.Reset(syscall.SIGUSR2)
}

func init() {
	C.ready()
}
