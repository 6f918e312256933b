// Signals: one that a thread sends itself, and those that arrive all the time.

#define _GNU_SOURCE
#include "golib.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Memory in which the kernel writes when it delivers a signal to this thread,
// filled with a pattern: the upper part of the alternate stack, or what lies
// below SP, but for what a call takes that delivers none.

#define PAGE 4096
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

// How often the host's handler has run for SIGCHLD, on whatever thread.
static _Atomic uint32_t ended;

// The host's handler: it runs the body of the Signal that sent it.
static void host_handler(int number)
{
	struct golib_thread *self = golib_self();
	struct node *n = self->handling;
	stack_t alt = {0};

	if (number == SIGCHLD)
		ended++;
	if (!n || (int)n->argument != number)
		return; // sent by somebody else, or to the whole process
	self->handling = 0;
	sigaltstack(0, &alt);
	golib_record_did(n, GOLIB_ENTERED, alt.ss_flags & SS_ONSTACK ? 2 : 1);
	golib_run_body(n);
	golib_record(n, GOLIB_LEAVING);
	if (number == SIGSEGV)
		mprotect((void *)n->region_lo, PAGE, PROT_READ);
}

// The ways in which a signal comes, in the order of calltree.WAYS.
enum { BY_THREAD, BY_KILL, BY_CHILD };

// A child of this thread's, which ends and is waited for.
static void end_child(void)
{
	// Not fork: it would run what libraries have registered for it.
	pid_t child = (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0l, 0l, 0l, 0l);

	if (child == 0)
		syscall(SYS_exit_group, 0);
	if (child < 0)
		golib_fault("there is no process to spare for a child that ends");
	while (child > 0 && waitpid(child, 0, 0) < 0 && errno == EINTR)
		;
}

#define AGAIN 16 // children, at most, until one's SIGCHLD comes here

// SIGCHLD is for the whole process. The kernel gives it to the thread that made
// the child, unless that one has a signal to take already and no processor to
// take it on: then another thread gets it, and there is another child; so there
// is where two children end at a time, for one signal. Where no thread gets any
// in a second, that is for the model to say.
static void end_children(struct golib_thread *self)
{
	struct timespec now, end;
	uint32_t before;
	int i;

	for (i = 0; i < AGAIN; i++) {
		before = ended;
		end_child();
		clock_gettime(CLOCK_MONOTONIC, &end);
		do {
			if (!self->handling)
				return;
			sched_yield();
			clock_gettime(CLOCK_MONOTONIC, &now);
		} while (ended == before && now.tv_sec <= end.tv_sec + 1);
		if (ended == before || !self->handling)
			return;
	}
}

// Sends the signal, or does what brings it; it is delivered before this returns.
static void send(struct node *n)
{
	int ends[2];

	if (n->argument == SIGSEGV) {
		n->region_lo = (uint64_t)mmap(0, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		*(volatile char *)n->region_lo;
		munmap((void *)n->region_lo, PAGE);
	} else if (n->argument == SIGPIPE) {
		if (pipe(ends) != 0)
			golib_fault("there is no pipe for SIGPIPE");
		close(ends[0]);
		if (write(ends[1], "", 1) != -1)
			golib_fault("a pipe that nobody reads was written to");
		close(ends[1]);
	} else if (n->times == BY_CHILD) {
		end_children(golib_self());
	} else if (n->times == BY_KILL)
		kill(getpid(), n->argument);
	else
		pthread_kill(pthread_self(), n->argument);
}

// A frame with another alternate stack, of n->stack bytes, or with none.
void golib_frame_altstack(void *arg)
{
	struct node *n = arg;
	stack_t had, own = {0};
	char *room = 0;

	golib_record(n, GOLIB_BEFORE);
	own.ss_size = n->stack;
	own.ss_flags = n->stack ? 0 : SS_DISABLE;
	if (n->stack) {
		// Below it lies a page that nothing may touch: who needs more finds out at once.
		room = mmap(0, PAGE + n->stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (room == MAP_FAILED || mprotect(room, PAGE, PROT_NONE) != 0) {
			golib_fault("there is no memory for an alternate stack");
			return;
		}
		own.ss_sp = room + PAGE;
	}
	if (sigaltstack(&own, &had) != 0)
		golib_fault("sigaltstack has refused the alternate stack");
	golib_record(n, GOLIB_ENTERED);
	golib_run_body(n);
	golib_record(n, GOLIB_LEAVING);
	sigaltstack(&had, 0);
	if (room)
		munmap(room, PAGE + n->stack);
	golib_record(n, GOLIB_AFTER);
}

static struct sigaction host_had[65];

// golib_handle installs the host's handler for a signal. One that has been there
// from before the load begins at entry and is a jump (golib/run/process.py): it
// now leads here, and is left as Go has left it.
void golib_handle(int number, int onstack, int masked, uint64_t entry)
{
	struct sigaction act = {0};

	sigaction(number, 0, &host_had[number]);
	if (entry) {
		((uint64_t *)entry)[1] = (uint64_t)host_handler;
		return;
	}
	act.sa_flags = onstack ? SA_ONSTACK : 0;
	if (masked)
		sigfillset(&act.sa_mask);
	act.sa_handler = host_handler;
	if (sigaction(number, &act, 0) != 0)
		golib_fault("the host's handler could not be installed");
}

void golib_unhandle(int number)
{
	sigaction(number, &host_had[number], 0);
}

void golib_leaf_signal(void *arg)
{
	struct node *n = arg;
	struct marked room;
	sigset_t others, before;
	int written;

	golib_record(n, GOLIB_BEFORE);
	if (n->nbody) {
		golib_self()->handling = n;
		send(n);
		golib_record(n, GOLIB_AFTER);
		return;
	}
	// Another signal that comes just now would leave its traces there, too.
	sigfillset(&others);
	sigdelset(&others, n->argument);
	pthread_sigmask(SIG_BLOCK, &others, &before);
	room = mark((uint64_t)__builtin_frame_address(0));
	send(n);
	written = is_written(room);
	pthread_sigmask(SIG_SETMASK, &before, 0);
	golib_record_did(n, GOLIB_AFTER, written);
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
