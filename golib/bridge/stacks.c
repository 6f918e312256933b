// The same thread on another stack, and how far its own may grow.

#define _GNU_SOURCE
#include "golib.h"

#include <stdint.h>
#include <sys/resource.h>

// The same thread on other memory, as a coroutine library switches: by its own
// few instructions. swapcontext would give back signal mask and floating-point
// control by itself, and hide what a callback has left of them.
//
// golib_switch keeps what the ABI has a callee keep on the stack that it leaves,
// and goes on with what was kept on the other.
void golib_switch(void **from, void *to);
void golib_enter(void);

#if defined(__x86_64__)
__asm__(
	".text\n"
	".globl golib_switch\n.hidden golib_switch\n.type golib_switch, @function\n"
	"golib_switch:\n"
	"	push %rbp\n	push %rbx\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbx\n	pop %rbp\n"
	"	ret\n"
	// Where a new stack begins: its node is in rbx.
	".globl golib_enter\n.hidden golib_enter\n.type golib_enter, @function\n"
	"golib_enter:\n"
	"	mov %rbx, %rdi\n"
	"	call golib_on_the_other_stack\n"
	"	ud2\n");
#define KEPT 6 // registers, the last but one of which is rbx
#else
#error "write golib_switch for this architecture here"
#endif

// At the upper end of its memory each stack has where it was left, and where
// whoever entered or resumed it was. When a panic crosses, both are left behind,
// as longjmp would leave them.
struct switched {
	void *here, *there;
};

static struct switched *switched(struct node *n)
{
	return (struct switched *)n->region_hi - 1;
}

__attribute__((visibility("hidden"))) void golib_on_the_other_stack(struct node *n)
{
	void *nowhere;

	golib_record(n, GOLIB_ENTERED);
	golib_run_body(n);
	golib_record(n, GOLIB_LEAVING);
	golib_switch(&nowhere, switched(n)->here);
}

void golib_frame_stack(void *arg)
{
	struct node *n = arg;
	struct switched *s = switched(n);
	uint64_t *top = (uint64_t *)s; // of 16 bytes, as the ABI has it at a call

	golib_record(n, GOLIB_BEFORE);
	*--top = (uint64_t)golib_enter;
	*--top = 0;           // rbp
	*--top = (uint64_t)n; // rbx
	top -= KEPT - 2;
	golib_switch(&s->here, top);
	golib_record(n, GOLIB_AFTER);
}

void golib_leaf_suspend(void *arg)
{
	struct node *n = arg;

	golib_record(n, GOLIB_BEFORE);
	golib_switch(&switched(n)->there, switched(n)->here);
	golib_record_did(n, GOLIB_AFTER, 1);
}

void golib_leaf_resume(void *arg)
{
	struct node *n = arg;

	golib_record(n, GOLIB_BEFORE);
	golib_switch(&switched(n)->here, switched(n)->there);
	golib_record(n, GOLIB_AFTER);
}

void golib_leaf_setrlimit(void *arg)
{
	struct node *n = arg;
	struct rlimit limit;

	golib_record(n, GOLIB_BEFORE);
	getrlimit(RLIMIT_STACK, &limit);
	limit.rlim_cur = n->stack;
	if (setrlimit(RLIMIT_STACK, &limit) != 0)
		golib_fault("setrlimit(RLIMIT_STACK) was refused");
	getrlimit(RLIMIT_STACK, &limit);
	golib_record_did(n, GOLIB_AFTER, limit.rlim_cur);
}
