// pthread_getattr_np as the runtime sees it: linked with
// --wrap=pthread_getattr_np, so that every question of this library comes
// here, is counted for the thread that asks, and can be left unanswered.

#define _GNU_SOURCE
#include "golib.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

// initial-exec: a signal handler may be the first to touch it on a thread,
// and must not allocate.
static __thread struct golib_thread self __attribute__((tls_model("initial-exec")));

_Atomic int golib_hidden;

struct golib_thread *golib_self(void)
{
	if (self.tid == 0)
		self.tid = (uint32_t)gettid();
	return &self;
}

int __real_pthread_getattr_np(pthread_t thread, pthread_attr_t *attr);

int __wrap_pthread_getattr_np(pthread_t thread, pthread_attr_t *attr)
{
	void *lo = 0;
	size_t size = 0;
	int error;

	self.queries++;
	self.told_lo = self.told_hi = 0;
	if (golib_hidden) {
		// What a C library without the call leaves: an initialised
		// attribute that knows no stack (address 0, size 0).
		pthread_attr_init(attr);
		return ENOSYS;
	}
	error = __real_pthread_getattr_np(thread, attr);
	if (error == 0 && pthread_attr_getstack(attr, &lo, &size) == 0) {
		self.told_lo = (uint64_t)lo;
		self.told_hi = (uint64_t)lo + size;
	}
	return error;
}
