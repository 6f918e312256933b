package main

import "runtime"

import "C"

func main() {}

//export go1
func go1() {
}

//export go3
func go3() {
	runtime.GC()
}

//export go5
func go5() {
	runtime.GC()
}

//export go7
func go7() {
	runtime.GC()
}

//export go9
func go9() {
	runtime.GC()
}

//export go11
func go11() {
	runtime.GC()
}

//export go13
func go13() {
	runtime.GC()
}

//export go15
func go15() {
	runtime.GC()
}

//export go17
func go17() {
	runtime.GC()
}

//export go19
func go19() {
	runtime.GC()
}

//export go21
func go21() {
	runtime.GC()
}

//export go23
func go23() {
	runtime.GC()
}

//export go25
func go25() {
	runtime.GC()
}

//export go27
func go27() {
	runtime.GC()
}

//export go29
func go29() {
	runtime.GC()
}

//export go31
func go31() {
	runtime.GC()
}
