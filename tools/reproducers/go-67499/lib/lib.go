package main

// void c2(void);
import "C"

import "iter"

func main() {}

var (
	next_a  func() (int, bool)
	yield_a func(int) bool
)

//export go3
func go3() {
	next_a()
}

//export go1
func go1() {
	next_a, _ = iter.Pull(func(yield func(int) bool) {
		yield_a = yield
	})
	C.c2()
}
