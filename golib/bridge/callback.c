// The frame that calls the bridge's own Go. This file, bounds.c and crossings.c
// are left out where golib drives a library from outside (golib/outside).
//
// A callback is Python (or C) -> golib_frame_go -> golibGo, which cgo wraps:
// crosscall2, runtime.cgocallback, cgocallbackg, our Go code.

#include "golib.h"

extern uint64_t golibGo(struct node *, uint64_t);

// What Go has marked with #cgo nocallback, see nocallback.go.
void golib_call_back(void *arg)
{
	golibGo(arg, 0);
}

void golib_frame_go(void *arg)
{
	struct node *n = arg;

	// Passed through Go, which gives its complement: did is 0 where all its
	// bits arrived both ways, else it shows which did not.
	uint64_t value = 0x9e3779b97f4a7c15 * (uint64_t)(n->id + 1);

	golib_record(n, GOLIB_BEFORE);
	golib_record_did(n, GOLIB_AFTER, golibGo(n, value) ^ ~value);
}
