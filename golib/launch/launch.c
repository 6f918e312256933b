// A child in which no Python runs: forked, loaded and led to its end by C.
//
// Whatever a forked process is the first to write to, it pays for, page by
// page, and an interpreter writes to each object that it looks at. A fork
// server loads this (golib/run/launch.py); it knows no Go, and of the bridge
// only what it looks up by name in the library that the child loads.

#define _GNU_SOURCE
#include "launch.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static struct header *trace;

// Ends the child for a reason of ours, which its server finds in the trace.
static void fail(const char *what, const char *why)
{
	if (!atomic_exchange(&trace->refused, 1))
		snprintf(trace->fault, sizeof trace->fault, "%s: %s", what, why);
	_exit(GOLIB_HARNESS_STATUS);
}

// Python's os says so, too, of what the kernel refuses.
static void must(int done, const char *what)
{
	char why[200];

	if (done >= 0)
		return;
	snprintf(why, sizeof why, "%s: %s", what, strerror(errno));
	fail("OSError", why);
}

static void *find(void *library, const char *name)
{
	void *found = dlsym(library, name);

	if (!found)
		fail("BindingError", dlerror());
	return found;
}

// The thread keeps to so many processors, that on which it runs among them.
static void pin(int processors)
{
	cpu_set_t may, set;
	int here = sched_getcpu(), cpu;

	must(sched_getaffinity(0, sizeof may, &may), "sched_getaffinity");
	CPU_ZERO(&set);
	CPU_SET(here, &set);
	for (cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&set) < processors; cpu++)
		if (CPU_ISSET(cpu, &may))
			CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof set, &set), "sched_setaffinity");
}

static void check(void *library, const struct golib_launch *l)
{
	void (*sizes)(uint64_t *) = find(library, "golib_sizes");
	uint64_t seen[GOLIB_SIZES];
	char why[800];
	int i, at;

	sizes(seen);
	if (memcmp(seen, l->sizes, sizeof seen) == 0)
		return;
	at = snprintf(why, sizeof why, "%.500s was built for another golib: its sizes are", l->library);
	for (i = 0; i < GOLIB_SIZES; i++)
		at += snprintf(why + at, sizeof why - at, " %lu", (unsigned long)seen[i]);
	fail("BindingError", why);
}

static void run(void *library, const struct golib_launch *l, const struct golib_program *p)
{
	void (*handle)(int, int, int, uint64_t) = find(library, "golib_handle");
	void (*unhandle)(int) = find(library, "golib_unhandle");
	int i;

	*(_Atomic int *)find(library, "golib_hidden") = p->hidden;
	for (i = 0; i < p->nlinks; i++) {
		void **name = &l->names[p->links[i].name].address;

		if (!*name)
			*name = find(library, l->names[p->links[i].name].name);
		*p->links[i].where = *name;
	}
	for (i = 0; i < p->nhandled; i++)
		handle(p->handled[i], p->onstack, p->masked, 0);
	if (p->signals)
		((void (*)(int))find(library, "golib_signals_start"))(p->signals);
	((void (*)(struct node *, int, int))find(library, "golib_run"))(p->root, p->blocked, 0);
	if (p->signals)
		((void (*)(void))find(library, "golib_signals_stop"))();
	for (i = 0; i < p->nhandled; i++)
		unhandle(p->handled[i]);
}

static _Noreturn void child(const struct golib_launch *l)
{
	struct rlimit stack;
	void *library;
	int i;

	trace = l->trace;
	must(setsid(), "setsid");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != l->server)
		_exit(GOLIB_HARNESS_STATUS);
	close(l->closed[0]);
	close(l->closed[1]);
	must(dup2(l->out, 1), "dup2");
	must(dup2(l->out, 2), "dup2");
	close(l->out);
	if (l->processors)
		pin(l->processors);
	// RTLD_LOCAL, as a Python user's ctypes.CDLL does.
	library = dlopen(l->library, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fail("OSError", dlerror());
	check(library, l);
	((void (*)(void *, const void *, const void *))find(library, "golib_use"))(l->trace, l->fields, l->roots);
	if (l->world)
		((void (*)(void))find(library, "golib_wait_ready"))();
	must(getrlimit(RLIMIT_STACK, &stack), "getrlimit");
	for (i = 0; i < l->nprograms; i++) {
		trace->running = i;
		// An earlier case may have lowered it: a case's world must not depend on its place in the row.
		must(setrlimit(RLIMIT_STACK, &stack), "setrlimit");
		run(library, l, &l->programs[i]);
	}
	if (l->traced)
		((void (*)(void))find(library, "golibStopTrace"))();
	_exit(0);
}

uint64_t golib_launch_size(void)
{
	return sizeof(struct golib_launch) + sizeof(struct golib_program);
}

// golib_launch gives the child's pid, or -1 with errno.
pid_t golib_launch(const struct golib_launch *l)
{
	pid_t pid = fork();

	if (pid == 0)
		child(l);
	return pid;
}
