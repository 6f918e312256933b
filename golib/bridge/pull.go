//go:build go1.23

package bridge

// #include "golib.h"
import "C"

import "iter"

// A coroutine of a case: what gives a value from inside it, and what takes one.
type pulled struct {
	node *C.struct_node
	next func() (int, bool)
	give func(int) bool
}

var coroutines = map[C.int32_t]*pulled{}

// running has the coroutines whose bodies are under way, the innermost last.
var running []*pulled

func init() {
	leaves[kind("Pull")] = pull
	leaves[kind("Next")] = next
	leaves[kind("Give")] = give
}

func pull(n *C.struct_node) uint64 {
	made := &pulled{node: n}
	made.next, _ = iter.Pull(func(yield func(int) bool) {
		made.give = yield
		body(n)
	})
	coroutines[n.argument] = made
	return 0
}

// next returns 1 where it has come back.
func next(n *C.struct_node) uint64 {
	one := coroutines[n.argument]
	one.node.thread = n.thread
	running = append(running, one)
	one.next()
	running = running[:len(running)-1]
	return 1
}

func give(n *C.struct_node) uint64 {
	if running[len(running)-1].give(0) {
		return 1
	}
	return 0
}
