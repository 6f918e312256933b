// Made by golib of this case:
//     Case(C(Together(Thread(C(Go(GC()), times=20)), Thread(C(Go(), times=200)), Thread(C(Go(),
//     times=200)), Thread(C(Go(), times=200)), Thread(C(Go(), times=200))), times=30), on=('notify',),
//     signals='SIGUSR1')

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

static pthread_barrier_t gate_of_together2;
static pthread_t threads_of_together2[5];

void c3(void)
{
	for (long round = 0; round < 20; round++) {
		go4();
	}
}

static void *in_together2_0(void *arg)
{
	be_signalled();
	pthread_barrier_wait(&gate_of_together2);
	c3();
	return arg;
}

void c5(void)
{
	for (long round = 0; round < 200; round++) {
		go6();
	}
}

static void *in_together2_1(void *arg)
{
	be_signalled();
	pthread_barrier_wait(&gate_of_together2);
	c5();
	return arg;
}

void c7(void)
{
	for (long round = 0; round < 200; round++) {
		go8();
	}
}

static void *in_together2_2(void *arg)
{
	be_signalled();
	pthread_barrier_wait(&gate_of_together2);
	c7();
	return arg;
}

void c9(void)
{
	for (long round = 0; round < 200; round++) {
		go10();
	}
}

static void *in_together2_3(void *arg)
{
	be_signalled();
	pthread_barrier_wait(&gate_of_together2);
	c9();
	return arg;
}

void c11(void)
{
	for (long round = 0; round < 200; round++) {
		go12();
	}
}

static void *in_together2_4(void *arg)
{
	be_signalled();
	pthread_barrier_wait(&gate_of_together2);
	c11();
	return arg;
}

void start_together2(void)
{
	pthread_barrier_init(&gate_of_together2, NULL, 5);
	threads_of_together2[0] = start(in_together2_0, 8388608, NULL);
	threads_of_together2[1] = start(in_together2_1, 8388608, NULL);
	threads_of_together2[2] = start(in_together2_2, 8388608, NULL);
	threads_of_together2[3] = start(in_together2_3, 8388608, NULL);
	threads_of_together2[4] = start(in_together2_4, 8388608, NULL);
}

void join_together2(void)
{
	pthread_join(threads_of_together2[0], NULL);
	pthread_join(threads_of_together2[1], NULL);
	pthread_join(threads_of_together2[2], NULL);
	pthread_join(threads_of_together2[3], NULL);
	pthread_join(threads_of_together2[4], NULL);
}

void together2(void)
{
	start_together2();
	join_together2();
}

void c1(void)
{
	for (long round = 0; round < 30; round++) {
		together2();
	}
}

int main(void)
{
	pthread_t sender;

	while (!is_ready)
		sched_yield();
	be_signalled();
	pthread_create(&sender, NULL, send_signals, NULL);
	c1();
	sending = 0;
	pthread_join(sender, NULL);
	puts("passed");
	return 0;
}
