package main

// void ready(void);
import "C"

func main() {}

//export go1
func go1() {
}

func init() {
	C.ready()
}
