package main

import "runtime/metrics"

import "C"

func main() {}

//export go1
func go1() {
}

//export go4
func go4() {
}

// notInGo is how many goroutines are said to be in C or in a system call.
//
//export notInGo
func notInGo() uint64 {
	sample := []metrics.Sample{{Name: "/sched/goroutines/not-in-go:goroutines"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0 // this release does not count them
	}
	return sample[0].Value.Uint64()
}
