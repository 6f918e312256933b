// Made by golib of this case:
//     Case(C(Thread(C(Signal(Go(), name='SIGCHLD'))), times=400), on=('notify',), signals='SIGUSR1',
//     handlers='nostack')

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib.h"

// Go's init says that it is done.
static _Atomic int is_ready;

void ready(void)
{
	is_ready = 1;
}

// One more thread sends SIGUSR1 to the others all the time.
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
				syscall(SYS_tgkill, getpid(), signalled[i], SIGUSR1);
		nanosleep(&between, NULL);
	}
	return arg;
}

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

static void install_handlers(void)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = 0};

	sigemptyset(&action.sa_mask);
	sigaction(SIGCHLD, &action, NULL);
}

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

static void handler4(void)
{
	go5();
}

void c3(void)
{
	handling = handler4;
	pthread_kill(pthread_self(), SIGCHLD);
}

static void *in_thread2(void *arg)
{
	be_signalled();
	c3();
	return arg;
}

void thread2(void)
{
	pthread_join(start(in_thread2, 8388608, NULL), NULL);
}

void c1(void)
{
	for (long round = 0; round < 400; round++) {
		thread2();
	}
}

int main(void)
{
	pthread_t sender;

	while (!is_ready)
		sched_yield();
	install_handlers();
	be_signalled();
	pthread_create(&sender, NULL, send_signals, NULL);
	c1();
	sending = 0;
	pthread_join(sender, NULL);
	puts("passed");
	return 0;
}
