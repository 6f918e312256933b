// Made by golib of this case:
//     Case(C(Go(), Signal(C(), name='SIGURG')), handlers='early')

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib.h"

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
	sigaction(SIGURG, &action, NULL);
}

// Before the libraries' own start, Go's among them.
__attribute__((section(".preinit_array"), used))
static void (*before_go)(void) = install_handlers;

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
	pthread_kill(pthread_self(), SIGURG);
	if (handling) {
		puts("wrong: the host's handler of SIGURG was not called");
		exit(1);
	}
}

int main(void)
{
	c1();
	puts("passed");
	return 0;
}
