package main

// void stack2(void);
import "C"

func main() {}

//export go3
func go3() {
	panic("panic")
}

//export go1
func go1() {
	defer func() {
		recover()
	}()
	C.stack2()
}
