// A small library as somebody might ship it to Python users: it calls back, has
// goroutines, a mutex and timers, recovers panics, and listens to a signal.
package main

// #include <stdint.h>
// typedef void (*visit_fn)(int);
// typedef int64_t (*map_fn)(int64_t);
// static void visit(visit_fn f, int i) { f(i); }
// static int64_t apply(map_fn f, int64_t i) { return f(i); }
// extern void MylibPanic(void);
// static void panics(void) { MylibPanic(); }
import "C"

import (
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func main() {}

// MylibVisit calls f with 0, 1, … n-1.
//
//export MylibVisit
func MylibVisit(n C.int, f C.visit_fn) {
	for i := C.int(0); i < n; i++ {
		C.visit(f, i)
	}
}

// MylibSum adds what f makes of each number.
//
//export MylibSum
func MylibSum(numbers []int64, f C.map_fn) (sum int64) {
	for _, n := range numbers {
		sum += int64(C.apply(f, C.int64_t(n)))
	}
	return
}

// MylibElsewhere has f called by n goroutines, each on a thread of Go's.
//
//export MylibElsewhere
func MylibElsewhere(n C.int, f C.visit_fn) {
	var all sync.WaitGroup
	for i := C.int(0); i < n; i++ {
		all.Add(1)
		go func(i C.int) {
			defer all.Done()
			C.visit(f, i)
		}(i)
	}
	all.Wait()
}

// MylibWander has one goroutine call f with 0, 1, … n-1, each time on another
// thread than before: how often it had moved.
//
//export MylibWander
func MylibWander(n int, f C.map_fn) (moved int) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i, before := 0, 0; i < n; i++ {
			for before == syscall.Gettid() {
				leave()
			}
			if before != 0 {
				moved++
			}
			before = syscall.Gettid()
			C.apply(f, C.int64_t(i))
		}
	}()
	<-done
	return
}

// leave goes on on another thread, most often: who comes next keeps this one.
func leave() {
	taken, gone := make(chan struct{}), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		close(taken)
		<-gone
	}()
	<-taken
	time.AfterFunc(time.Millisecond, func() { close(gone) })
}

// MylibRecover recovers a panic that has come through C: how often.
//
//export MylibRecover
func MylibRecover(times int) (recovered int) {
	for i := 0; i < times; i++ {
		func() {
			defer func() {
				if recover() != nil {
					recovered++
				}
			}()
			C.panics()
		}()
	}
	return
}

//export MylibPanic
func MylibPanic() { panic("as it should") }

var (
	lock   sync.Mutex
	counts = map[string]int{}
)

// MylibCount says how often it was called with that name.
//
//export MylibCount
func MylibCount(name string) int {
	lock.Lock()
	defer lock.Unlock()
	counts[string(append([]byte(nil), name...))]++
	return counts[name]
}

// MylibSleep waits for a timer, and collects meanwhile.
//
//export MylibSleep
func MylibSleep(microseconds int) {
	timer := time.NewTimer(time.Duration(microseconds) * time.Microsecond)
	runtime.GC()
	<-timer.C
}

// MylibSignal sends SIGUSR2 to this process, which os/signal takes.
//
//export MylibSignal
func MylibSignal() bool {
	came := make(chan os.Signal, 1)
	signal.Notify(came, syscall.SIGUSR2)
	defer signal.Stop(came)
	syscall.Kill(os.Getpid(), syscall.SIGUSR2)
	return <-came == syscall.SIGUSR2
}
