// Made by golib of this case:
//     Case(Go(Thread(Go(Panic()), kind='go', recover=True, deferred=(GC(),))), on=('trace',))

#define _GNU_SOURCE
#include <sched.h>
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
	while (!is_ready)
		sched_yield();
	go1();
	puts("passed");
	return 0;
}
