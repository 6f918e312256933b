package main

import "C"

func main() {}

//export go2
func go2() {
}

//export go4
func go4() {
}
