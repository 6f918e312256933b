package main

// void ready(void);
import "C"

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {}

//export go5
func go5() {
}

func init() {
	signal.Notify(make(chan os.Signal, 64), syscall.SIGUSR1)
	C.ready()
}
