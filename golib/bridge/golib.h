// The bridge's own vocabulary: a call tree compiled to nodes, and the trace
// it leaves. Python lays the same structures out in golib/run/trace.py and
// golib/run/binding.py; golib_sizes() lets it check that both agree.

#ifndef GOLIB_H
#define GOLIB_H

#include <stdatomic.h>
#include <stdint.h>

// What a frame does when it runs: fn(arg). arg is the node itself.
struct thunk {
	void (*fn)(void *);
	void *arg;
};

enum golib_phase {
	GOLIB_BEFORE, GOLIB_ENTERED, GOLIB_LEAVING, GOLIB_RECOVERED, GOLIB_AFTER,
	GOLIB_ENDED, // of a thread: its M, seen by who joined it
	GOLIB_DID,   // of a Go leaf that returns: its work is done
	GOLIB_CROSSING, // in a scenario: the user's library is about to call Go
	GOLIB_CROSSED,  // and has come back
};

// What a thread knows of itself. It lives in the thread's TLS.
struct golib_thread {
	uint64_t told_lo, told_hi; // the last answer of pthread_getattr_np, zeros when hidden
	uint32_t queries;          // how often this thread asked
	uint32_t tid;
	uint32_t mute;             // >0: in a middle round of a repeated frame, record nothing
	uint32_t ours;             // 1: a thread of the tree; 0: somebody else's
	struct node *scenario;     // the one that is open on it, see crossings.c
	struct node *handling;     // the Signal whose handler is to run
	struct node *callee;       // the Export node whose C side is to be replaced
};

struct node {
	struct thunk *body, *deferred;
	int32_t nbody, ndeferred;
	int32_t id, kind; // kind: a number made of its name, see leaves.go
	int32_t recover;           // Go: has a deferred function that recovers
	int32_t argument;          // Export: p. Signal: its number. AtEnd: the round. Fault: which. Thread: 1 for SCHED_IDLE
	uint64_t stack;            // C: bytes held. Thread: bytes of its stack. Grow: bytes. Setrlimit: bytes. Delay: ns
	uint64_t times;            // C: how often its body runs. Signal: how it comes, see calltree.WAYS. Delay: its steps
	uint64_t region_lo, region_hi; // Stack, Suspend, Resume: its memory. Thread on caller's memory: its memory
	void (*export)(int32_t);   // Export: the function
	void (*start)(void *);     // Thread: starts it, returns at once
	void (*join)(void *);      // Thread: returns when it has ended
	struct golib_thread *thread; // whoever runs this node now
	struct golib_gate *gate;   // Thread in a Together: waits here for the others
	uint64_t handle;           // Thread: its pthread_t. Gate: its meeting. Delay: how often it ran
	char *m;                   // Thread: the M it had when it left
	uint64_t end_sigmask;      // Thread: its own state after all destructors but ours
	uint64_t end_alt_sp, end_alt_size, end_alt_flags;
	struct node *older;        // of an open scenario: one that was opened before, see crossings.c.
	                           // AtEnd: the next one of this thread
	uint32_t mute;             // Thread: inherited from the thread that starts it
	uint32_t pad;
	uint64_t result;           // Export: what came back, a number or a digest
};

#define GOLIB_VALUES 64
#define GOLIB_CALL_STATUS 4 // of a process whose case calls what is not there, see golib/run/trace.py

// One crossing. A fixed size, so that a slot is claimed with one atomic add
// and nothing is lost when the process dies in the middle of another.
struct event {
	_Atomic uint32_t committed; // the header's generation, written last
	int32_t node;
	uint8_t phase, in_go;
	uint16_t goroutines;        // in Go: runtime.NumGoroutine()
	uint32_t tid, queries, mxcsr;
	uint32_t fpu_control, alt_flags;
	uint64_t sp, told_lo, told_hi;
	uint64_t m;                 // 0: the thread never called Go, and values mean nothing
	uint64_t sigmask, alt_sp, alt_size;
	uint64_t did;               // by what it is seen that the node did its work, see golib/run/trace.py
	uint64_t values[GOLIB_VALUES]; // one for each field of the table, see golib_use
};

struct header {
	uint32_t generation; // of this run: what an earlier one left does not count
	uint32_t capacity;   // events
	_Atomic uint32_t next;
	_Atomic uint32_t running, finished; // cases
	_Atomic uint32_t refused; // first errno of a pthread_create and the like; a harness fault
	char fault[1000];    // what went wrong on our side, if anything
};

enum golib_base {
	GOLIB_IN_G0, GOLIB_IN_M, GOLIB_IN_CURG, GOLIB_IN_SCHED, GOLIB_IN_MEMSTATS,
	GOLIB_BASES,
};

struct field {
	uint32_t base;
	uint32_t size;   // bytes; 0: this release has no such field
	uint64_t offset; // bytes
};

// Offsets of the three pointers that lead to everything else, and of two
// fields of g that Go leaves read: the end of its stack, and the count of its
// stops (0: this release has none). Then where runtime.sched and
// runtime.memstats lie: from Python offsets in the library, then addresses.
struct roots { uint64_t g_m, m_g0, m_curg, g_hi, g_stops, sched, memstats; };

extern struct header *golib_header;
extern struct event *golib_events;
extern struct field golib_fields[GOLIB_VALUES];
extern struct roots golib_roots;
extern _Atomic int golib_hidden;

// Set by Go's init: reads the thread's g.
extern void *(*golib_read_g)(void);

struct golib_thread *golib_self(void);
void golib_record(struct node *n, int phase);
void golib_record_did(struct node *n, int phase, uint64_t did);
uint64_t golib_record_crossing(struct node *n, int phase, uint64_t number);
void golib_record_m(struct node *n, int phase, char *m, uint64_t did);
void golib_remember_end(struct node *n);
void golib_scenario_begin(struct node *n);
void golib_scenario_end(struct node *n);
char *golib_m(void);
void golib_call(const struct thunk *t);
void golib_run_body(struct node *n);
void golib_start(struct node *n);
void golib_join(struct node *n);
uint64_t golib_begin_thread(struct node *n);
struct golib_gate *golib_gate_new(int32_t threads);
uint64_t golib_gate_wait(struct golib_gate *gate);
void golib_gate_free(struct golib_gate *gate);
void golib_fault(const char *what);
int golib_wants(const char *what);
void golib_set_ready(void);
void golib_wait_ready(void);

void golib_may_be_signalled(struct golib_thread *self);
int golib_instead(void);

#endif
