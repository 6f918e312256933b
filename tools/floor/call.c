// The floor of a call: an empty Go function, called from a C program's main
// thread without Python.
//
//     call LIBRARY CALLS GOAL_NS MAPS    prints "CALLS NS QUERIES MAPS"
//
// CALLS 0: as many as take GOAL_NS. MAPS: so many more mappings.

#define _GNU_SOURCE
#include "bench.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static void *symbol(void *library, const char *name)
{
	void *found = dlsym(library, name);

	if (!found) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	return found;
}

static int maps(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	int lines = 0, c;

	while (file && (c = getc(file)) != EOF)
		lines += c == '\n';
	return lines;
}

int main(int argc, char **argv)
{
	struct golib_bench bench = {0};
	void (*loop)(struct golib_bench *);
	void *library;
	int i;

	if (argc != 5)
		return 2;
	library = dlopen(argv[1], RTLD_NOW);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	// Neighbours with other rights, which the kernel can't join.
	for (i = 0; i < atoi(argv[4]); i++)
		mmap(0, 4096, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bench.call = (void (*)(void))symbol(library, "GoEmpty");
	bench.calls = strtoull(argv[2], 0, 10);
	bench.goal_ns = strtoull(argv[3], 0, 10);
	loop = (void (*)(struct golib_bench *))symbol(library, "golib_bench_loop");
	loop(&bench);
	printf("%lu %lu %lu %d\n", bench.calls, bench.ns, bench.queries, maps());
	return 0;
}
