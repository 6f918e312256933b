// Made by golib of this case:
//     Case(C(Go(Spin())), second='after')

#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib.h"

// Go's init says that it is done.
static _Atomic int is_ready;

void ready(void)
{
	is_ready = 1;
}

// Another Go library, with a runtime of its own.
static void load_second(void)
{
	void (*second)(void), *library = dlopen("./second.so", RTLD_NOW);

	if (!library) {
		puts(dlerror());
		exit(3);
	}
	*(void **)&second = dlsym(library, "second");
	second(); // returns when its init is through
}

void c1(void)
{
	go2();
}

int main(void)
{
	while (!is_ready)
		sched_yield();
	load_second();
	c1();
	puts("passed");
	return 0;
}
