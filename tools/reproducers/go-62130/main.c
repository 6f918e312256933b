// Made by golib of this case:
//     Case(Go(Thread(Stack(Go(GC()), region=-1), kind='go')))

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "lib.h"

#define STACK (256 << 10)
static char *below_1;

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

static void on_stack3(void)
{
	go4();
}

void stack3(void)
{
	on_stack(below_1, on_stack3);
}

int main(void)
{
	below_1 = reserve((char *)0x100000000000);
	go1();
	puts("passed");
	return 0;
}
