"""The texts of which a reproducer's files are made (``golib.show.reproducer``): what a frame calls in C and
in Go, by the text that calls it, and the headers and packages that it takes.
"""

from __future__ import annotations

GO_HELPERS = {
    "block()": """\
// block waits for a channel that another goroutine closes.
func block() {
	opened := make(chan struct{})
	go close(opened)
	<-opened
}
""",
    "wake()": """\
// wake unlocks a mutex that another goroutine waits for.
func wake() {
	var mu sync.Mutex
	done := make(chan struct{})
	mu.Lock()
	go func() {
		mu.Lock()
		mu.Unlock()
		close(done)
	}()
	runtime.Gosched()
	mu.Unlock()
	<-done
}
""",
    "relayed": """\
var relayed = make(chan os.Signal, 64)
""",
    "spin(": """\
// spin is a loop that calls nothing, until another goroutine has collected.
func spin() {
	var collected atomic.Bool
	go func() {
		runtime.GC()
		collected.Store(true)
	}()
	for !collected.Load() {
	}
}
""",
    "grow(": """\
// grow uses that many bytes of the goroutine's stack.
//
//go:noinline
func grow(bytes int) byte {
	var room [1024]byte
	if bytes > len(room) {
		room[bytes%len(room)] = grow(bytes - len(room))
	}
	return room[bytes%len(room)]
}
""",
}

COUNTED = """\
// notInGo is how many goroutines are said to be in C or in a system call.
//
//export notInGo
func notInGo() uint64 {
	sample := []metrics.Sample{{Name: "/sched/goroutines/not-in-go:goroutines"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0 // this release does not count them
	}
	return sample[0].Value.Uint64()
}
"""

SWITCHES: dict[str, str] = {
    "notify": "signal.Notify(make(chan os.Signal, 64), syscall.SIGUSR1)",
    "trace": "trace.Start(io.Discard)",
    "cpuprofile": "pprof.StartCPUProfile(io.Discard)",
    "blockprofile": "runtime.SetBlockProfileRate(1)",
    "mutexprofile": "runtime.SetMutexProfileFraction(1)",
    "memprofile": "runtime.MemProfileRate = 1",
}
"""How Go turns them on, in its init."""
OFF: dict[str, str] = {
    "trace": "trace.Stop()",
    "cpuprofile": "pprof.StopCPUProfile()",
    "blockprofile": "runtime.SetBlockProfileRate(0)",
    "mutexprofile": "runtime.SetMutexProfileFraction(0)",
    "memprofile": "runtime.MemProfileRate = 512 * 1024",
}
"""And off again."""

PACKAGES = {
    "io.": "io",
    "os.": "os",
    "signal.": "os/signal",
    "runtime.": "runtime",
    "metrics.": "runtime/metrics",
    "pprof.": "runtime/pprof",
    "trace.": "runtime/trace",
    "rand.": "crypto/rand",
    "strconv.": "strconv",
    "sync.": "sync",
    "atomic.": "sync/atomic",
    "iter.": "iter",
    "syscall.": "syscall",
    "unsafe.": "unsafe",
}

C_HELPERS = {
    "start(": """\
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
""",
    "on_stack(": """\
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
""",
    "reserve(": """\
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
""",
    "main_stack(": """\
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
""",
    "meet(": """\
// Waits, giving the processor away, until all threads of the meeting have come.
static void meet(struct meeting *meeting)
{
	unsigned round = meeting->round;

	if (++meeting->come == meeting->threads) {
		meeting->come = 0;
		meeting->round++;
	}
	while (meeting->round == round)
		sched_yield();
}
""",
    "delay(": """\
// Computes for so long: a step longer each time, and then anew.
static void delay(unsigned long ns, unsigned long steps, unsigned long *runs)
{
	struct timespec begun, now;
	long wanted = ns * ((*runs)++ % steps + 1) / steps;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begun.tv_sec) * 1000000000 + now.tv_nsec - begun.tv_nsec < wanted);
}
""",
    "be_idle(": """\
// The kernel runs this thread only where no other wants to run.
static void be_idle(void)
{
	struct sched_param none = {0};

	sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &none);
}
""",
    "with_altstack(": """\
// Another alternate signal stack for a while; 0 bytes are none.
static void with_altstack(size_t bytes, void (*body)(void))
{
	stack_t before, other = {.ss_size = bytes, .ss_flags = bytes ? 0 : SS_DISABLE};

	other.ss_sp = bytes ? malloc(bytes) : NULL;
	sigaltstack(&other, &before);
	body();
	sigaltstack(&before, NULL);
	free(other.ss_sp);
}
""",
    "enter(": """\
// The same thread on another stack, which may be left in the middle.
static void enter(struct coroutine *on, char *memory, void (*body)(void))
{
	ucontext_t here;

	getcontext(&on->there);
	on->there.uc_stack.ss_sp = memory;
	on->there.uc_stack.ss_size = STACK;
	on->back = &here;
	makecontext(&on->there, body, 0);
	swapcontext(&here, &on->there);
}
""",
    "leave(": """\
static void leave(struct coroutine *on)
{
	swapcontext(&on->there, on->back);
}
""",
    "resume(": """\
static void resume(struct coroutine *on)
{
	ucontext_t here;

	on->back = &here;
	swapcontext(&here, &on->there);
}
""",
    "load_second(": """\
// Another Go library, with a runtime of its own.
static void load_second(void)
{
	void (*second)(void), *library = dlopen("./second.so", RTLD_NOW);

	if (!library) {
		puts(dlerror());
		exit(3);
	}
	*(void **)&second = dlsym(library, "second");
	second(); // returns when its init is through
}
""",
    "set_limit(": """\
static void set_limit(rlim_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_STACK, &limit);
	limit.rlim_cur = bytes;
	setrlimit(RLIMIT_STACK, &limit);
}
""",
}

HEADERS = {
    "errno": "errno.h",
    "E_NOSYS": "errno.h",
    "RTLD_": "dlfcn.h",
    "pthread_": "pthread.h",
    "sched_": "sched.h",
    "SIG": "signal.h",
    "puts(": "stdio.h",
    "exit(": "stdlib.h",
    "malloc(": "stdlib.h",
    "stack_t": "signal.h",
    "strstr": "string.h",
    "mmap(": "sys/mman.h",
    "rlimit": "sys/resource.h",
    "SYS_": "sys/syscall.h",
    "timespec": "time.h",
    "ucontext_t": "ucontext.h",
    "getpid": "unistd.h",
    "gettid": "unistd.h",
}

HIDDEN = """\
// A C library that does not know the bounds of its threads' stacks. The runtime calls this one.
int pthread_getattr_np(pthread_t thread, pthread_attr_t *attr)
{
	(void)thread;
	pthread_attr_init(attr);
	return ENOSYS;
}
"""

ASKED = """\
// Counts how often the runtime asks for the bounds of a stack.
static _Atomic int asked;

int pthread_getattr_np(pthread_t thread, pthread_attr_t *attr)
{
	int (*real)(pthread_t, pthread_attr_t *);

	asked++;
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_getattr_np");
	return real(thread, attr);
}
"""

READY = """\
// Go's init says that it is done.
static _Atomic int is_ready;

void ready(void)
{
	is_ready = 1;
}
"""

SENDER = """\
// One more thread sends SIGNAL to the others all the time.
static _Atomic pid_t signalled[32];
static _Atomic unsigned int newest;
static _Atomic int sending = 1;

static void be_signalled(void)
{
	signalled[newest++ % 32] = gettid();
}

static void *send_signals(void *arg)
{
	struct timespec between = {0, 50000};
	sigset_t all;
	int i;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	while (sending) {
		for (i = 0; i < 32; i++)
			if (signalled[i])
				syscall(SYS_tgkill, getpid(), signalled[i], SIGNAL);
		nanosleep(&between, NULL);
	}
	return arg;
}
"""

HANDLING = """\
// The host's handler runs what its thread expects of it.
static __thread void (*volatile handling)(void);

static void handle(int signal)
{
	void (*body)(void) = handling;

	(void)signal;
	handling = NULL;
	if (body)
		body();
}
"""

ENDING = """\
// What a thread has blocked at its end: in the second round of the destructors of keys, after Go's.
static pthread_key_t ending;
static _Atomic int blocked_at_the_end;

static void at_the_end(void *arg)
{
	sigset_t mask;

	if (arg == &ending) {
		pthread_setspecific(ending, &mask);
		return;
	}
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	if (sigismember(&mask, SIGNAL))
		blocked_at_the_end = 1;
}
"""

SECOND = """\
// Another Go library, which does nothing.
package main

import "C"

//export second
func second() {}

func main() {}
"""
