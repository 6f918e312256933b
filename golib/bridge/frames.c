// The frames of a call tree that are C: each runs its body, and records the
// crossings that it makes itself.
//
// A callback is Python (or C) -> golib_frame_go -> golibGo, which cgo wraps:
// crosscall2, runtime.cgocallback, cgocallbackg, our Go code. A Go frame runs
// a native child by cgocall, which lands in golib_call, on the same thread's
// stack, below.

#define _GNU_SOURCE
#include "golib.h"

#include <alloca.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

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

void golib_frame_go(void *arg)
{
	struct node *n = arg;

	golib_record(n, GOLIB_BEFORE);
	golibGo(n);
	golib_record(n, GOLIB_AFTER);
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
	golib_record(n, GOLIB_AFTER);
}

void golib_frame_export(void *arg)
{
	struct node *n = arg;

	golib_export_begin(n);
	n->export(n->argument);
	golib_export_end(n);
}

// Memory in which the kernel writes when it delivers a signal to this thread,
// filled with a pattern: the upper part of the alternate stack, or what lies
// below SP, but for what a call takes that delivers none.

#define PATTERN 0x7061747465726e21u
// Bytes below SP that pthread_kill may use itself; it is bound, for ctypes loads with RTLD_NOW.
#define CALL 1024
// Bytes below those that are filled: a frame takes 1 to 4 KiB, more only with AMX.
#define BELOW (8 * 1024)
// Bytes of an alternate stack that are filled, at most.
#define ABOVE (16 * 1024)

struct marked { volatile uint64_t *lo, *hi; };

static struct marked mark(uint64_t sp)
{
	uint64_t lo = sp - CALL - BELOW, hi = sp - CALL;
	struct marked room;
	volatile uint64_t *at;
	stack_t alt;

	if (sigaltstack(0, &alt) == 0 && !(alt.ss_flags & (SS_DISABLE | SS_ONSTACK))) {
		lo = (uint64_t)alt.ss_sp;
		hi = lo + alt.ss_size;
		if (lo < hi - ABOVE)
			lo = hi - ABOVE;
	}
	room.lo = (uint64_t *)((lo + 7) & ~7ul);
	room.hi = (uint64_t *)(hi & ~7ul);
	for (at = room.lo; at < room.hi; at++)
		*at = PATTERN;
	return room;
}

static int is_written(struct marked room)
{
	volatile uint64_t *at;

	for (at = room.lo; at < room.hi; at++)
		if (*at != PATTERN)
			return 1;
	return 0;
}

void golib_leaf_signal(void *arg)
{
	struct node *n = arg;
	struct marked room;

	golib_record(n, GOLIB_BEFORE);
	room = mark((uint64_t)__builtin_frame_address(0));
	pthread_kill(pthread_self(), n->argument); // delivered before it returns
	golib_record_did(n, GOLIB_AFTER, is_written(room));
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

// Threads.

struct golib_gate {
	pthread_mutex_t lock;
	pthread_cond_t open;
	uint64_t threads, come;
};

struct golib_gate *golib_gate_new(int32_t threads)
{
	struct golib_gate *gate = malloc(sizeof *gate);

	pthread_mutex_init(&gate->lock, 0);
	pthread_cond_init(&gate->open, 0);
	gate->threads = threads;
	gate->come = 0;
	return gate;
}

// golib_gate_wait returns when all threads of the gate have come to it, and
// says how many those are: 0 where there is no gate.
uint64_t golib_gate_wait(struct golib_gate *gate)
{
	uint64_t come;

	if (!gate)
		return 0;
	pthread_mutex_lock(&gate->lock);
	if (++gate->come == gate->threads)
		pthread_cond_broadcast(&gate->open);
	while (gate->come < gate->threads)
		pthread_cond_wait(&gate->open, &gate->lock);
	come = gate->come;
	pthread_mutex_unlock(&gate->lock);
	return come;
}

void golib_gate_free(struct golib_gate *gate)
{
	pthread_cond_destroy(&gate->open);
	pthread_mutex_destroy(&gate->lock);
	free(gate);
}

// golib_begin_thread is the first thing a thread of the tree does. It returns
// what golib_gate_wait does.
uint64_t golib_begin_thread(struct node *n)
{
	n->thread = golib_self();
	n->thread->mute = n->mute;
	golib_may_be_signalled(n->thread);
	return golib_gate_wait(n->gate);
}

void golib_thread_body(struct node *n)
{
	golib_record_did(n, GOLIB_ENTERED, golib_begin_thread(n));
	golib_run_body(n);
	golib_record(n, GOLIB_LEAVING);
	n->m = golib_m();
}

// A native thread's last word comes from the destructor of a pthread key. It
// asks for a second round of destructors, so that Go's has run by then,
// whichever key is the older.
static pthread_key_t last_word;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local int rounds;

static void at_the_end(void *arg)
{
	if (rounds++ == 0)
		pthread_setspecific(last_word, arg);
	else
		golib_remember_end(arg);
}

static void make_key(void)
{
	if (pthread_key_create(&last_word, at_the_end) != 0)
		golib_fault("there is no pthread key for a thread's end");
}

static void *native_thread(void *arg)
{
	pthread_once(&once, make_key);
	pthread_setspecific(last_word, arg);
	golib_thread_body(arg);
	return 0;
}

void golib_native_start(void *arg)
{
	struct node *n = arg;
	pthread_attr_t attr;
	pthread_t thread;
	char what[80];
	int error;

	pthread_attr_init(&attr);
	if (n->region_hi)
		error = pthread_attr_setstack(&attr, (void *)n->region_lo, n->region_hi - n->region_lo);
	else
		error = pthread_attr_setstacksize(&attr, n->stack);
	if (error == 0)
		error = pthread_create(&thread, &attr, native_thread, n);
	pthread_attr_destroy(&attr);
	if (error) {
		snprintf(what, sizeof what, "a native thread could not be started: %s", strerror(error));
		golib_fault(what);
		_exit(3);
	}
	n->handle = (uint64_t)thread;
}

void golib_native_join(void *arg)
{
	struct node *n = arg;

	// When it returns, the destructor of Go's pthread key has run: dropm.
	pthread_join((pthread_t)n->handle, 0);
	golib_record_m(n, GOLIB_ENDED, n->m, 0);
}

void golib_start(struct node *n)
{
	n->mute = golib_self()->mute;
	n->start(n);
}

void golib_join(struct node *n)
{
	n->join(n);
}

void golib_frame_thread(void *arg)
{
	struct node *n = arg;

	golib_record(n, GOLIB_BEFORE);
	golib_start(n);
	golib_join(n);
	golib_record(n, GOLIB_AFTER);
}

void golib_frame_together(void *arg)
{
	struct node *n = arg, *thread;
	struct golib_gate *gate = golib_gate_new(n->nbody);
	int32_t i;

	golib_record(n, GOLIB_BEFORE);
	for (i = 0; i < n->nbody; i++) {
		thread = n->body[i].arg;
		thread->gate = gate;
		golib_start(thread);
	}
	for (i = 0; i < n->nbody; i++)
		golib_join(n->body[i].arg);
	golib_gate_free(gate);
	golib_record(n, GOLIB_AFTER);
}

// Signals from elsewhere: a thread that sends one to every thread of the tree,
// round and round, until it is told to stop. It remembers the newest threads;
// to one that has ended nothing is delivered.

#define SIGNALLED 32
#define SIGNAL_PAUSE 50000 // ns between two rounds: signals, not a standstill

static _Atomic uint32_t signalled[SIGNALLED];
static _Atomic uint32_t newest;
static _Atomic int sending;
static pthread_t sender;

void golib_may_be_signalled(struct golib_thread *self)
{
	signalled[atomic_fetch_add(&newest, 1) % SIGNALLED] = self->tid;
}

static void *send_signals(void *arg)
{
	struct timespec pause = {0, SIGNAL_PAUSE};
	int number = (int)(intptr_t)arg, i;

	while (sending) {
		for (i = 0; i < SIGNALLED; i++)
			if (signalled[i])
				syscall(SYS_tgkill, getpid(), signalled[i], number);
		nanosleep(&pause, 0);
	}
	return 0;
}

void golib_signals_start(int number)
{
	sigset_t all, before;

	golib_may_be_signalled(golib_self());
	sending = 1;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); // the sender takes none itself
	if (pthread_create(&sender, 0, send_signals, (void *)(intptr_t)number) != 0)
		golib_fault("the thread that sends signals could not be started");
	pthread_sigmask(SIG_SETMASK, &before, 0);
}

void golib_signals_stop(void)
{
	int i;

	sending = 0;
	pthread_join(sender, 0);
	for (i = 0; i < SIGNALLED; i++)
		signalled[i] = 0;
}

// golib_run runs one case: its trees, one after the other, on the thread
// that calls. With leave set it ends the process without going back to its
// caller, because a panic has crossed interpreter frames on some thread.
void golib_run(struct node *root, int blocked, int leave)
{
	sigset_t set;

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
