// Loops for `python -m tools bench`. Where a loop runs, the call tree says:
// golib_leaf_bench is a leaf of it. Nothing is recorded on the way.

#define _GNU_SOURCE
#include "bench.h"
#include "golib.h"

#include <time.h>

#define WARM_UP 10 // of a given number of calls, the part that is made before: a tenth

// Of the tree that runs now: there is one at a time, with one such leaf.
static struct golib_bench *current;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t time_of(void (*call)(void), uint64_t calls)
{
	uint64_t begin = now();

	while (calls--)
		call();
	return now() - begin;
}

// Without a given number it doubles the number until the time is reached, and
// the last loop counts: those before it are the warm-up.
void golib_bench_loop(struct golib_bench *b)
{
	struct golib_thread *self = golib_self();
	uint64_t goal = b->calls ? 0 : b->goal_ns;
	uint32_t queries;

	if (b->calls)
		time_of(b->call, b->calls / WARM_UP + 1);
	else
		b->calls = 1;
	for (;;) {
		queries = self->queries;
		b->ns = time_of(b->call, b->calls);
		b->queries = self->queries - queries;
		if (b->ns >= goal)
			return;
		b->calls *= 2;
	}
}

void golib_leaf_bench(void *arg)
{
	(void)arg;
	golib_bench_loop(current);
}

void golib_bench_run(struct golib_bench *b, struct node *tree)
{
	struct golib_thread *self = golib_self();

	current = b;
	self->mute++;
	golib_run_body(tree);
	self->mute--;
}

// What a call costs that reaches no Go.
void golib_bench_nothing(void)
{
}

uint32_t golib_bench_queries(void)
{
	return golib_self()->queries;
}
