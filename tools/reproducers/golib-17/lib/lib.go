package main

// void ready(void);
import "C"

func main() {}

//export go4
func go4() {
}

//export go5
func go5() {
	defer func() {
		recover()
	}()
	func() { var nowhere *int; *nowhere = 1 }()
}

func init() {
	C.ready()
}
