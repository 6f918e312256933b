// Another Go library, which does nothing.
package main

import "C"

//export second
func second() {}

func main() {}
