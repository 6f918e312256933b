// What Go asks of os/signal, while signals come.
package bridge

// #include "golib.h"
import "C"

import (
	"os"
	"os/signal"
	"syscall"
)

// relayed has the channel of each signal that Notify was called for.
var relayed = map[os.Signal]chan os.Signal{}

func of(n *C.struct_node) os.Signal { return syscall.Signal(n.argument) }

func relays(n *C.struct_node) uint64 {
	c := make(chan os.Signal, 64)
	relayed[of(n)] = c
	signal.Notify(c, of(n))
	return 0
}

// take returns 1 where what comes is what was asked for.
func take(n *C.struct_node) uint64 {
	if <-relayed[of(n)] == of(n) {
		return 1
	}
	return 0
}

func stop(n *C.struct_node) uint64 {
	signal.Stop(relayed[of(n)])
	return 0
}

func ignore(n *C.struct_node) uint64 {
	signal.Ignore(of(n))
	return 0
}

func reset(n *C.struct_node) uint64 {
	signal.Reset(of(n))
	return 0
}
