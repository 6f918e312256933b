// A loop that calls a function and does nothing else, with a clock around it.
// Declared apart from golib.h, for C programs that have no call tree.

#ifndef GOLIB_BENCH_H
#define GOLIB_BENCH_H

#include <stdint.h>

struct golib_bench {
	void (*call)(void);
	uint64_t calls;   // in: how many; 0: as many as take goal_ns. Out: how many it were
	uint64_t goal_ns;
	uint64_t ns;      // out: of all calls together
	uint64_t queries; // out: how often this thread asked pthread_getattr_np meanwhile
};

void golib_bench_loop(struct golib_bench *b);
void golib_bench_nothing(void);

#endif
