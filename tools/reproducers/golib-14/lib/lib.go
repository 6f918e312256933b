package main

import "C"

func main() {}

//export go2
func go2() {
}
