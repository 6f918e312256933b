// The frames that call the bridge's own Go. This file and bounds.c are left out
// where golib drives a library from outside (golib/outside).
//
// A callback is Python (or C) -> golib_frame_go -> golibGo, which cgo wraps:
// crosscall2, runtime.cgocallback, cgocallbackg, our Go code.

#include "golib.h"

extern void golibGo(struct node *);
extern void GoF(int32_t);

// What the seed's C program does (testcarchive/testdata/main9.c).

__attribute__((noinline)) static void use(volatile int *x) { (*x)++; }

void callGoFWithDeepStack(int p)
{
	volatile int x[10000];

	x[0] = x[9999] = 0;
	use(&x[0]);
	use(&x[9999]);
	GoF(p);
	use(&x[0]);
	use(&x[9999]);
}

void callGoWithVariousStack(int p)
{
	struct golib_thread *self = golib_self();
	struct node *n = self->callee;

	self->callee = 0;
	if (n && n->nbody) { // something else stands where the seed's C stood
		golib_run_body(n);
		return;
	}
	GoF(0);
	callGoFWithDeepStack(p);
	GoF(0);
}

void golib_frame_go(void *arg)
{
	struct node *n = arg;

	golib_record(n, GOLIB_BEFORE);
	golibGo(n);
	golib_record(n, GOLIB_AFTER);
}
