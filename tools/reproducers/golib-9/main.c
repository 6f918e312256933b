// Made by golib of this case:
//     Case(Stack(Go()), C(Go(), times=100))

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "lib.h"

// Counts how often the runtime asks for the bounds of a stack.
static _Atomic int asked;

int pthread_getattr_np(pthread_t thread, pthread_attr_t *attr)
{
	int (*real)(pthread_t, pthread_attr_t *);

	asked++;
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_getattr_np");
	return real(thread, attr);
}

#define STACK (256 << 10)
static char *above_1;

// The same thread on another stack.
static void on_stack(char *memory, void (*body)(void))
{
	ucontext_t here, there;

	getcontext(&there);
	there.uc_stack.ss_sp = memory;
	there.uc_stack.ss_size = STACK;
	there.uc_link = &here;
	makecontext(&there, body, 0);
	swapcontext(&here, &there);
}

// The first free memory from that address on.
static char *reserve(char *address)
{
	char *got;

	for (;; address += 16 << 20) {
		got = mmap(address, STACK, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (got == address)
			return got;
		if (errno != EEXIST) {
			puts("no room above the main thread's stack, run it again");
			exit(3);
		}
	}
}

// Where the main thread's stack ends.
static char *main_stack(void)
{
	char line[512];
	unsigned long lo, hi = 0;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (fgets(line, sizeof line, maps))
		if (strstr(line, "[stack]"))
			sscanf(line, "%lx-%lx", &lo, &hi);
	fclose(maps);
	return (char *)hi;
}

static void on_stack1(void)
{
	go2();
}

void stack1(void)
{
	on_stack(above_1, on_stack1);
}

void c3(void)
{
	for (long round = 0; round < 100; round++) {
		go4();
	}
}

int main(void)
{
	above_1 = reserve(main_stack() + (16 << 20));
	stack1();
	c3();
	if (asked > 6) {
		printf("wrong: pthread_getattr_np was asked %d times\n", asked);
		return 1;
	}
	puts("passed");
	return 0;
}
