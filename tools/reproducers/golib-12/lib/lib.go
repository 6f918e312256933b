package main

// void ready(void);
import "C"

func main() {}

//export go4
func go4() {
}

func init() {
	C.ready()
}
