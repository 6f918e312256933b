// Callbacks of the user's own library. All of its exports, and ours, call Go
// through crosscall2; linked with --wrap=crosscall2 they come here. Where a
// scenario is open, each leaves an event before and one after it, of the
// scenario's node. Elsewhere nothing is recorded, and the call goes on with the
// same SP.
//
// A callback that a panic leaves behind has no second event: Go unwinds past
// our frame, as past any frame of C.

#include "golib.h"

#include <pthread.h>

void __real_crosscall2(void (*fn)(void *), void *frame, int size, uintptr_t context);

// The scenarios that are open, the newest first.
static struct node *_Atomic newest;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void leave_out(struct node *n)
{
	struct node *one = newest;

	if (one == n) {
		newest = n->older;
		return;
	}
	while (one && one->older != n)
		one = one->older;
	if (one)
		one->older = n->older;
}

// golib_scenario_begin opens a scenario on this thread, until
// golib_scenario_end. There is one on a thread at a time.
void golib_scenario_begin(struct node *n)
{
	golib_self()->scenario = n;
	pthread_mutex_lock(&lock);
	leave_out(n); // a panic may have left it open
	n->older = newest;
	newest = n;
	pthread_mutex_unlock(&lock);
}

void golib_scenario_end(struct node *n)
{
	golib_self()->scenario = 0;
	pthread_mutex_lock(&lock);
	leave_out(n);
	pthread_mutex_unlock(&lock);
}

// A thread of the tree has its own scenario or none. One that golib does not
// know belongs to the scenario that is open.
static struct node *scenario(void)
{
	struct golib_thread *self = golib_self();

	return self->ours ? self->scenario : newest;
}

// Apart from the wrapper, so that the compiler has nothing to save there.
__attribute__((noinline)) static void crossing(void (*fn)(void *), void *frame, int size, uintptr_t context)
{
	struct node *n = scenario();
	uint64_t number = n ? golib_record_crossing(n, GOLIB_CROSSING, 0) : 0;

	__real_crosscall2(fn, frame, size, context);
	if (number)
		golib_record_crossing(n, GOLIB_CROSSED, number);
}

void __wrap_crosscall2(void (*fn)(void *), void *frame, int size, uintptr_t context)
{
	if (newest)
		crossing(fn, frame, size, context);
	else
		__real_crosscall2(fn, frame, size, context);
}
