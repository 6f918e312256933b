// What a fork server tells a child in which no Python runs.
// golib/run/launch.py lays the same structures out.

#ifndef GOLIB_LAUNCH_H
#define GOLIB_LAUNCH_H

#include "golib.h"

#include <signal.h>
#include <sys/types.h>

// Of a child in which something of ours failed, see golib/run/trace.py.
#define GOLIB_HARNESS_STATUS 3
// What golib_sizes says.
#define GOLIB_SIZES 6

struct golib_name {
	const char *name;
	void *address;  // in the library, once it has been looked for
};

struct golib_link {
	void **where;
	uint64_t name;  // its place among the names
};

struct golib_program {
	struct node *root;
	struct golib_link *links;
	int32_t *handled;   // the signals of which the host has a handler
	int32_t nlinks, nhandled;
	int32_t hidden;     // whether pthread_getattr_np gives nothing
	int32_t onstack, masked;
	int32_t signals;    // what arrives meanwhile, or 0
	int32_t blocked;    // the signal that is blocked, or 0
	int32_t pad;
};

struct golib_launch {
	const char *library;
	struct header *trace;
	const char *fields; // for golib_use
	const char *roots;
	struct golib_name *names;
	struct golib_program *programs;
	int32_t nprograms;
	int32_t server;     // its pid
	int32_t out;        // what the child writes goes there
	int32_t closed[2];  // the server's own
	int32_t processors; // to which it keeps, or 0
	int32_t world;      // whether Go's init turns something on
	int32_t traced;     // whether the execution trace goes to a file
	uint64_t sizes[GOLIB_SIZES];
};

#endif
