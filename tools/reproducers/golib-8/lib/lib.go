package main

import "runtime"

import "C"

func main() {}

//export go3
func go3() {
	runtime.Stack(make([]byte, 1<<16), true)
	runtime.Stack(make([]byte, 1<<16), true)
	runtime.Stack(make([]byte, 1<<16), true)
}

//export go4
func go4() {
}
