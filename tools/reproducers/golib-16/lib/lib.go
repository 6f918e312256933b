package main

// void ready(void);
import "C"

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {}

//export go2
func go2() {
	signal.Notify(relayed, syscall.SIGUSR2)
	signal.Reset(syscall.SIGUSR2)
}

func init() {
	C.ready()
}

var relayed = make(chan os.Signal, 64)
