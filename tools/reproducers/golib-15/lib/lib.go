package main

// void nocallback2(void);
// #cgo nocallback nocallback2
import "C"

func main() {}

//export go3
func go3() {}

//export go1
func go1() {
	defer func() {
		recover()
	}()
	C.nocallback2()
}
