// Made by golib of this case:
//     Case(Go(), blocked='SIGPROF')

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "lib.h"

// Go's init says that it is done.
static _Atomic int is_ready;

void ready(void)
{
	is_ready = 1;
}

int main(void)
{
	sigset_t mask;

	while (!is_ready)
		sched_yield();
	sigemptyset(&mask);
	sigaddset(&mask, SIGPROF);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	go1();
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	if (!sigismember(&mask, SIGPROF)) {
		puts("wrong: SIGPROF is blocked no more");
		return 1;
	}
	puts("passed");
	return 0;
}
