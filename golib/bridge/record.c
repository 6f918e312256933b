// The trace, as C writes it. bridge.go writes the same events from Go, where
// no C may be called without changing what is to be seen.

#define _GNU_SOURCE
#include "golib.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct header *golib_header;
struct event *golib_events;
struct field golib_fields[GOLIB_VALUES];
struct roots golib_roots;
void *(*golib_read_g)(void);

// By the linker: where this library is loaded.
extern const char __ehdr_start __attribute__((visibility("hidden")));

// golib_use attaches the trace: memory shared with the parent, and where the
// runtime's fields are. Call it once, before anything runs.
void golib_use(void *memory, const struct field *fields, const struct roots *roots)
{
	golib_header = memory;
	golib_events = (struct event *)((char *)memory + 4096);
	memcpy(golib_fields, fields, sizeof golib_fields);
	golib_roots = *roots;
	golib_roots.sched += (uint64_t)&__ehdr_start;
	golib_roots.memstats += (uint64_t)&__ehdr_start;
}

// golib_sizes tells Python how this compiler laid the structures out.
void golib_sizes(uint64_t out[6])
{
	out[0] = sizeof(struct node);
	out[1] = sizeof(struct event);
	out[2] = sizeof(struct header);
	out[3] = offsetof(struct event, values);
	out[4] = offsetof(struct node, thread);
	out[5] = GOLIB_VALUES;
}

// golib_fault notes the first thing that went wrong on our side.
void golib_fault(const char *what)
{
	uint32_t none = 0;

	if (atomic_compare_exchange_strong(&golib_header->refused, &none, 1))
		snprintf(golib_header->fault, sizeof golib_header->fault, "%s", what);
}

// golib_wants says whether the case's world, a comma-separated list in the C
// library's environment, holds a word. Go's own os.Getenv sees only what
// exec laid.
int golib_wants(const char *what)
{
	const char *world = getenv("GOLIB_WORLD");
	size_t n = strlen(what);

	while (world && *world) {
		if (strncmp(world, what, n) == 0 && (world[n] == ',' || world[n] == 0))
			return 1;
		world = strchr(world, ',');
		world = world ? world + 1 : 0;
	}
	return 0;
}

// Go's init runs on a thread of its own after dlopen has returned. A case whose
// world it has to make waits for it; others begin at once, as a user's would.
static pthread_mutex_t ready_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ready_now = PTHREAD_COND_INITIALIZER;
static int ready;

void golib_set_ready(void)
{
	pthread_mutex_lock(&ready_lock);
	ready = 1;
	pthread_cond_broadcast(&ready_now);
	pthread_mutex_unlock(&ready_lock);
}

void golib_wait_ready(void)
{
	pthread_mutex_lock(&ready_lock);
	while (!ready)
		pthread_cond_wait(&ready_now, &ready_lock);
	pthread_mutex_unlock(&ready_lock);
}

static uint64_t load(const char *base, struct field f)
{
	switch (f.size) {
	case 1: return *(const uint8_t *)(base + f.offset);
	case 2: return *(const uint16_t *)(base + f.offset);
	case 4: return *(const uint32_t *)(base + f.offset);
	case 8: return *(const uint64_t *)(base + f.offset);
	}
	return 0;
}

// The thread's own state, which a callback must give back too.
static void own_state(struct event *e)
{
	stack_t alt;
	uint16_t control;

	// The system call, not sigprocmask: glibc hides its own signals.
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, &e->sigmask, 8);
	if (sigaltstack(0, &alt) == 0) {
		e->alt_sp = (uint64_t)alt.ss_sp;
		e->alt_size = alt.ss_size;
		e->alt_flags = (uint32_t)alt.ss_flags;
	}
#if defined(__x86_64__)
	e->mxcsr = __builtin_ia32_stmxcsr() & ~0x3fu; // without the sticky exception flags
	__asm__ volatile("fnstcw %0" : "=m"(control));
	e->fpu_control = control;
#else
#error "read the floating-point control register of this architecture here"
#endif
}

// golib_m returns the thread's M, or NULL when it never called Go.
char *golib_m(void)
{
	char *g = golib_read_g ? golib_read_g() : 0;

	return g ? *(char **)(g + golib_roots.g_m) : 0;
}

// append records one event, of a thread with that M. numbered: 0 for did means
// 1 + its place in the trace. It returns what did has become.
__attribute__((noinline)) static uint64_t append(struct node *n, int phase, char *m, uint64_t did, int numbered)
{
	struct golib_thread *self = golib_self();
	struct event *e;
	uint32_t slot;
	char *base[GOLIB_BASES] = {
		[GOLIB_IN_M] = m,
		[GOLIB_IN_SCHED] = (char *)golib_roots.sched,
		[GOLIB_IN_MEMSTATS] = (char *)golib_roots.memstats,
	};
	int i;

	if (self->mute)
		return 0;
	slot = atomic_fetch_add(&golib_header->next, 1);
	if (slot >= golib_header->capacity) {
		golib_fault("the trace is full: raise golib.trace.CAPACITY or make the case smaller");
		return 0;
	}
	e = &golib_events[slot];
	e->node = n->id;
	e->phase = (uint8_t)phase;
	e->in_go = 0;
	e->tid = self->tid;
	e->queries = self->queries;
	e->told_lo = self->told_lo;
	e->told_hi = self->told_hi;
	e->sp = (uint64_t)__builtin_frame_address(0);
	e->m = (uint64_t)m;
	e->did = numbered && !did ? slot + 1ul : did;
	if (m) {
		base[GOLIB_IN_G0] = *(char **)(m + golib_roots.m_g0);
		base[GOLIB_IN_CURG] = *(char **)(m + golib_roots.m_curg);
	}
	for (i = 0; i < GOLIB_VALUES; i++)
		e->values[i] = base[golib_fields[i].base] ? load(base[golib_fields[i].base], golib_fields[i]) : 0;
	e->goroutines = 0;
	own_state(e);
	if (phase == GOLIB_ENDED) {
		// Whoever joined it sees what the thread saw last.
		e->sigmask = n->end_sigmask;
		e->alt_sp = n->end_alt_sp;
		e->alt_size = n->end_alt_size;
		e->alt_flags = (uint32_t)n->end_alt_flags;
	}
	atomic_store(&e->committed, golib_header->generation);
	return e->did;
}

void golib_record(struct node *n, int phase)
{
	golib_record_m(n, phase, golib_m(), 0);
}

void golib_record_did(struct node *n, int phase, uint64_t did)
{
	golib_record_m(n, phase, golib_m(), did);
}

// golib_record_crossing records an event with that number, where 0 means a new
// one: 1 + its place in the trace, so that both events of a callback tell which
// they are. It returns the number, or 0 when nothing was recorded.
uint64_t golib_record_crossing(struct node *n, int phase, uint64_t number)
{
	return append(n, phase, golib_m(), number, 1);
}

// golib_record_m is golib_record for an M that need not be the thread's own.
void golib_record_m(struct node *n, int phase, char *m, uint64_t did)
{
	append(n, phase, m, did, 0);
}

// golib_remember_end keeps the state that an ending thread has for GOLIB_ENDED.
void golib_remember_end(struct node *n)
{
	struct event e;

	own_state(&e);
	n->end_sigmask = e.sigmask;
	n->end_alt_sp = e.alt_sp;
	n->end_alt_size = e.alt_size;
	n->end_alt_flags = e.alt_flags;
}
