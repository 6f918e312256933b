// Made by golib of this case:
//     Case(Together(Thread(C(Go(GC()), times=50)), Thread(C(Go(), times=200)), Thread(C(Go(Block()),
//     times=200)), Thread(C(Go(), times=300)), policy='idle'), on=('trace', 'notify'), signals='SIGUSR1')

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

// The kernel runs this thread only where no other wants to run.
static void be_idle(void)
{
	struct sched_param none = {0};

	sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &none);
}

static pthread_barrier_t gate_of_together1;
static pthread_t threads_of_together1[4];

void c2(void)
{
	for (long round = 0; round < 50; round++) {
		go3();
	}
}

static void *in_together1_0(void *arg)
{
	be_signalled();
	be_idle();
	pthread_barrier_wait(&gate_of_together1);
	c2();
	return arg;
}

void c4(void)
{
	for (long round = 0; round < 200; round++) {
		go5();
	}
}

static void *in_together1_1(void *arg)
{
	be_signalled();
	be_idle();
	pthread_barrier_wait(&gate_of_together1);
	c4();
	return arg;
}

void c6(void)
{
	for (long round = 0; round < 200; round++) {
		go7();
	}
}

static void *in_together1_2(void *arg)
{
	be_signalled();
	be_idle();
	pthread_barrier_wait(&gate_of_together1);
	c6();
	return arg;
}

void c8(void)
{
	for (long round = 0; round < 300; round++) {
		go9();
	}
}

static void *in_together1_3(void *arg)
{
	be_signalled();
	be_idle();
	pthread_barrier_wait(&gate_of_together1);
	c8();
	return arg;
}

void start_together1(void)
{
	pthread_barrier_init(&gate_of_together1, NULL, 4);
	threads_of_together1[0] = start(in_together1_0, 8388608, NULL);
	threads_of_together1[1] = start(in_together1_1, 8388608, NULL);
	threads_of_together1[2] = start(in_together1_2, 8388608, NULL);
	threads_of_together1[3] = start(in_together1_3, 8388608, NULL);
}

void join_together1(void)
{
	pthread_join(threads_of_together1[0], NULL);
	pthread_join(threads_of_together1[1], NULL);
	pthread_join(threads_of_together1[2], NULL);
	pthread_join(threads_of_together1[3], NULL);
}

void together1(void)
{
	start_together1();
	join_together1();
}

int main(void)
{
	pthread_t sender;

	while (!is_ready)
		sched_yield();
	be_signalled();
	pthread_create(&sender, NULL, send_signals, NULL);
	together1();
	sending = 0;
	pthread_join(sender, NULL);
	puts("passed");
	return 0;
}
