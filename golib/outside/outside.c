// What golib has in a process whose Go library it did not build. Preloaded
// (LD_PRELOAD), so that the library's questions to pthread_getattr_np come here
// first: they are counted for the thread that asks, and can be left unanswered.
// Together with the bridge's C files that know no Go it is all that a call tree
// without Go frames needs.

#define _GNU_SOURCE
#include "golib.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

// initial-exec, as in bounds.c: a signal handler may be the first to touch it.
static __thread struct golib_thread self __attribute__((tls_model("initial-exec")));

_Atomic int golib_hidden;

// Where the library under test lies. Python and the C library ask, too; their
// questions are nobody's business, and get their answer.
static _Atomic uint64_t library_lo, library_hi;

struct golib_thread *golib_self(void)
{
	if (self.tid == 0)
		self.tid = (uint32_t)gettid();
	return &self;
}

void golib_watch(uint64_t lo, uint64_t hi)
{
	library_lo = lo;
	library_hi = hi;
}

static int (*next)(pthread_t, pthread_attr_t *);

// Before main: a question may come from where dlsym must not be called.
__attribute__((constructor)) static void find_next(void)
{
	next = (int (*)(pthread_t, pthread_attr_t *))dlsym(RTLD_NEXT, "pthread_getattr_np");
}

__attribute__((visibility("default"))) int pthread_getattr_np(pthread_t thread, pthread_attr_t *attr)
{
	uint64_t from = (uint64_t)__builtin_return_address(0);
	void *lo = 0;
	size_t size = 0;
	int error;

	if (!next)
		find_next();
	if (from < library_lo || from >= library_hi)
		return next(thread, attr);
	self.queries++;
	self.told_lo = self.told_hi = 0;
	if (golib_hidden) {
		// What a C library without the call leaves, see bounds.c.
		pthread_attr_init(attr);
		return ENOSYS;
	}
	error = next(thread, attr);
	if (error == 0 && pthread_attr_getstack(attr, &lo, &size) == 0) {
		self.told_lo = (uint64_t)lo;
		self.told_hi = (uint64_t)lo + size;
	}
	return error;
}
