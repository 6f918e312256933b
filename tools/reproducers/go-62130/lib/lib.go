package main

// void stack3(void);
import "C"

import "runtime"

func main() {}

//export go4
func go4() {
	runtime.GC()
}

func thread2() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		C.stack3()
	}()
	<-done
}

//export go1
func go1() {
	thread2()
}
