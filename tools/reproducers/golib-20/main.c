// Made by golib of this case:
//     Case(C(Go(Reset()), Signal(C(), name='SIGUSR2')))

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

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
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};

	sigemptyset(&action.sa_mask);
	sigaction(SIGUSR2, &action, NULL);
}

void c4(void)
{
}

static void handler3(void)
{
	c4();
}

void c1(void)
{
	go2();
	handling = handler3;
	pthread_kill(pthread_self(), SIGUSR2);
}

int main(void)
{
	while (!is_ready)
		sched_yield();
	install_handlers();
	c1();
	puts("passed");
	return 0;
}
