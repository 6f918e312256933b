// The frames of a call tree that are C: each runs its body, and records the
// crossings that it makes itself. Those that call Go stand in callback.c.
//
// A Go frame runs a native child by cgocall, which lands in golib_call, on the
// same thread's stack, below.

#define _GNU_SOURCE
#include "golib.h"

#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

// golib_call runs a frame on this thread's stack, as it stands.
void golib_call(const struct thunk *t)
{
	((struct node *)t->arg)->thread = golib_self();
	t->fn(t->arg);
}

void golib_run_body(struct node *n)
{
	int32_t i;

	for (i = 0; i < n->nbody; i++)
		golib_call(&n->body[i]);
}

// Holds n->stack bytes and touches both ends, as the seed's deep stack does.
// Not inlined: the bytes are given back when it returns.
__attribute__((noinline)) static void round_of(struct node *n)
{
	volatile char *room;

	if (n->stack) {
		room = alloca(n->stack);
		room[0] = room[n->stack - 1] = 1;
	}
	golib_run_body(n);
}

// A repeated frame records its first and its last round only: what lies
// between shows in the counts.
void golib_frame_c(void *arg)
{
	struct node *n = arg;
	struct golib_thread *self = golib_self();
	uint64_t round;

	golib_record(n, GOLIB_ENTERED);
	for (round = 0; round < n->times; round++) {
		int muted = round > 0 && round < n->times - 1;

		self->mute += muted;
		round_of(n);
		self->mute -= muted;
	}
	golib_record(n, GOLIB_LEAVING);
}

// Around a plain export, which records nothing itself. Python calls these two
// when it calls the export through ctypes.
void golib_export_begin(struct node *n)
{
	n->thread = golib_self();
	golib_record(n, GOLIB_BEFORE);
	n->thread->callee = n;
}

void golib_export_end(struct node *n)
{
	golib_self()->callee = 0;
	golib_record_did(n, GOLIB_AFTER, n->result);
}

// golib_instead is for an export's own C side: it runs what the case puts in
// its place, and says whether there is anything.
int golib_instead(void)
{
	struct golib_thread *self = golib_self();
	struct node *n = self->callee;

	self->callee = 0;
	if (!n || !n->nbody)
		return 0;
	golib_run_body(n);
	return 1;
}

void golib_frame_export(void *arg)
{
	struct node *n = arg;

	golib_export_begin(n);
	n->export(n->argument);
	golib_export_end(n);
}

// golib_run runs one case: its trees, one after the other, on the thread
// that calls. With leave set it ends the process without going back to its
// caller, because a panic has crossed interpreter frames on some thread.
void golib_run(struct node *root, int blocked, int leave)
{
	sigset_t set;

	golib_self()->ours = 1;
	sigemptyset(&set);
	if (blocked) {
		sigaddset(&set, blocked);
		pthread_sigmask(SIG_BLOCK, &set, 0);
	}
	golib_run_body(root);
	pthread_sigmask(SIG_UNBLOCK, &set, 0);
	atomic_fetch_add(&golib_header->finished, 1);
	if (leave)
		_exit(0);
}
