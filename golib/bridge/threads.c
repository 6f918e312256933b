// Threads: alone, on memory of the caller's, and several at once.

#define _GNU_SOURCE
#include "golib.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

// golib_idle lets the kernel run this thread only where no other wants to
// run: it is taken off its processor in the midst of things. What it starts
// is as usual, or the threads that Go makes meanwhile would be idle for ever.
static void golib_idle(void)
{
	struct sched_param none = {0};

	if (sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &none) != 0)
		golib_fault("a thread could not be given the policy SCHED_IDLE");
}

// golib_begin_thread is the first thing a thread of the tree does. It returns
// what golib_gate_wait does.
uint64_t golib_begin_thread(struct node *n)
{
	n->thread = golib_self();
	n->thread->ours = 1;
	n->thread->mute = n->mute;
	golib_may_be_signalled(n->thread);
	if (n->argument)
		golib_idle();
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
// asks for the next round of destructors until there is none, so that Go's has
// run by then, whichever key is the older; and runs what is to come in each.
#define ROUNDS 4 // PTHREAD_DESTRUCTOR_ITERATIONS on Linux

static pthread_key_t last_word;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local int rounds;
static _Thread_local struct node *ends; // AtEnd nodes, in order

static void at_the_end(void *arg)
{
	struct node *thread = arg, *n;
	char *m;

	rounds++;
	for (n = ends; n; n = n->older) {
		if (n->argument != rounds)
			continue;
		golib_record(n, GOLIB_ENTERED);
		golib_run_body(n);
		golib_record(n, GOLIB_LEAVING);
		m = golib_m();
		if (m)
			thread->m = m;
	}
	if (rounds < ROUNDS)
		pthread_setspecific(last_word, arg);
	else
		golib_remember_end(arg);
}

void golib_leaf_atend(void *arg)
{
	struct node *n = arg, **at = &ends;

	golib_record(n, GOLIB_BEFORE);
	while (*at)
		at = &(*at)->older;
	n->older = 0;
	*at = n;
	golib_record(n, GOLIB_AFTER);
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

// A meeting of threads, as often as they come to it.
struct golib_meeting {
	_Atomic uint32_t come, round;
	uint32_t threads, pad;
};

// It yields and does not sleep, so that all go on within a few hundred
// nanoseconds; and does not spin, or with one processor nobody else would come.
void golib_leaf_gate(void *arg)
{
	struct node *n = arg;
	struct golib_meeting *meeting = (struct golib_meeting *)n->handle;
	uint32_t round = atomic_load(&meeting->round);

	golib_record(n, GOLIB_BEFORE);
	if (atomic_fetch_add(&meeting->come, 1) + 1 == meeting->threads) {
		atomic_store(&meeting->come, 0);
		atomic_fetch_add(&meeting->round, 1);
	}
	while (atomic_load(&meeting->round) == round)
		sched_yield();
	golib_record_did(n, GOLIB_AFTER, meeting->threads);
}

static uint64_t nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

// In so many steps, which follow one another as it is run again and again.
void golib_leaf_delay(void *arg)
{
	struct node *n = arg;
	uint64_t begun, took, wanted;

	golib_record(n, GOLIB_BEFORE);
	begun = nanoseconds();
	wanted = n->stack * (n->handle++ % n->times + 1) / n->times;
	while ((took = nanoseconds() - begun) < wanted)
		;
	golib_record_did(n, GOLIB_AFTER, took);
}

void golib_leaf_schedyield(void *arg)
{
	struct node *n = arg;

	golib_record(n, GOLIB_BEFORE);
	golib_record_did(n, GOLIB_AFTER, sched_yield() == 0);
}
