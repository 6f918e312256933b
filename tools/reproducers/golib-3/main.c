// Made by golib of this case:
//     Case(Thread(Stack(Go())), on=('trace',))

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "lib.h"

// Go's init says that it is done.
static _Atomic int is_ready;

void ready(void)
{
	is_ready = 1;
}

#define STACK (256 << 10)
static char *above_1;

static pthread_t start(void *(*body)(void *), size_t bytes, void *memory)
{
	pthread_t thread;
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	if (memory)
		pthread_attr_setstack(&attr, memory, bytes);
	else
		pthread_attr_setstacksize(&attr, bytes);
	if (pthread_create(&thread, &attr, body, NULL)) {
		puts("no thread");
		exit(3);
	}
	pthread_attr_destroy(&attr);
	return thread;
}

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

static void on_stack2(void)
{
	go3();
}

void stack2(void)
{
	on_stack(above_1, on_stack2);
}

static void *in_thread1(void *arg)
{
	stack2();
	return arg;
}

void thread1(void)
{
	pthread_join(start(in_thread1, 8388608, NULL), NULL);
}

int main(void)
{
	above_1 = reserve(main_stack() + (16 << 20));
	while (!is_ready)
		sched_yield();
	thread1();
	puts("passed");
	return 0;
}
