// The same thread on another stack, and how far its own may grow.

#define _GNU_SOURCE
#include "golib.h"

#include <stdint.h>
#include <sys/resource.h>
#include <ucontext.h>

// The same thread on other memory. The frame that switches and the frame
// switched to share a context on the old stack; when a panic crosses, both
// are left behind, as longjmp would.
struct switched {
	ucontext_t here, there;
	struct node *node;
};

static void on_the_other_stack(unsigned int high, unsigned int low)
{
	struct switched *s = (struct switched *)((uint64_t)high << 32 | low);

	golib_record(s->node, GOLIB_ENTERED);
	golib_run_body(s->node);
	golib_record(s->node, GOLIB_LEAVING);
}

void golib_frame_stack(void *arg)
{
	struct node *n = arg;
	struct switched s;

	golib_record(n, GOLIB_BEFORE);
	s.node = n;
	getcontext(&s.there);
	s.there.uc_stack.ss_sp = (void *)n->region_lo;
	s.there.uc_stack.ss_size = n->region_hi - n->region_lo;
	s.there.uc_link = &s.here;
	// makecontext passes ints.
	makecontext(&s.there, (void (*)(void))on_the_other_stack, 2,
		(unsigned int)((uint64_t)&s >> 32), (unsigned int)(uint64_t)&s);
	swapcontext(&s.here, &s.there);
	golib_record(n, GOLIB_AFTER);
}

void golib_leaf_setrlimit(void *arg)
{
	struct node *n = arg;
	struct rlimit limit;

	golib_record(n, GOLIB_BEFORE);
	getrlimit(RLIMIT_STACK, &limit);
	limit.rlim_cur = n->stack;
	if (setrlimit(RLIMIT_STACK, &limit) != 0)
		golib_fault("setrlimit(RLIMIT_STACK) was refused");
	getrlimit(RLIMIT_STACK, &limit);
	golib_record_did(n, GOLIB_AFTER, limit.rlim_cur);
}
