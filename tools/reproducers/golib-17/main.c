// Made by golib of this case:
//     Case(Thread(C(Signal(Go(), name='SIGUSR2'), Go(Fault(), recover=True))), handlers='nostack')

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib.h"

// Go's init says that it is done.
static _Atomic int is_ready;

void ready(void)
{
	is_ready = 1;
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
	sigaction(SIGUSR2, &action, NULL);
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

static void handler3(void)
{
	go4();
}

void c2(void)
{
	handling = handler3;
	pthread_kill(pthread_self(), SIGUSR2);
	go5();
}

static void *in_thread1(void *arg)
{
	c2();
	return arg;
}

void thread1(void)
{
	pthread_join(start(in_thread1, 8388608, NULL), NULL);
}

int main(void)
{
	while (!is_ready)
		sched_yield();
	install_handlers();
	thread1();
	puts("passed");
	return 0;
}
