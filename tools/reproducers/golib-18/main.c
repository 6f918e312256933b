// Made by golib of this case:
//     Case(Together(Thread(C(Go(Traceback()), times=600)), Thread(C(Thread(Go()), times=600)),
//     Thread(C(Thread(Go()), times=600)), Thread(C(Thread(Go()), times=600))), on=('trace',))

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib.h"

// Go's init says that it is done.
static _Atomic int is_ready;

void ready(void)
{
	is_ready = 1;
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

static pthread_barrier_t gate_of_together1;
static pthread_t threads_of_together1[4];

void c2(void)
{
	for (long round = 0; round < 600; round++) {
		go3();
	}
}

static void *in_together1_0(void *arg)
{
	pthread_barrier_wait(&gate_of_together1);
	c2();
	return arg;
}

static void *in_thread5(void *arg)
{
	go6();
	return arg;
}

void thread5(void)
{
	pthread_join(start(in_thread5, 8388608, NULL), NULL);
}

void c4(void)
{
	for (long round = 0; round < 600; round++) {
		thread5();
	}
}

static void *in_together1_1(void *arg)
{
	pthread_barrier_wait(&gate_of_together1);
	c4();
	return arg;
}

static void *in_thread8(void *arg)
{
	go9();
	return arg;
}

void thread8(void)
{
	pthread_join(start(in_thread8, 8388608, NULL), NULL);
}

void c7(void)
{
	for (long round = 0; round < 600; round++) {
		thread8();
	}
}

static void *in_together1_2(void *arg)
{
	pthread_barrier_wait(&gate_of_together1);
	c7();
	return arg;
}

static void *in_thread11(void *arg)
{
	go12();
	return arg;
}

void thread11(void)
{
	pthread_join(start(in_thread11, 8388608, NULL), NULL);
}

void c10(void)
{
	for (long round = 0; round < 600; round++) {
		thread11();
	}
}

static void *in_together1_3(void *arg)
{
	pthread_barrier_wait(&gate_of_together1);
	c10();
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
	while (!is_ready)
		sched_yield();
	together1();
	puts("passed");
	return 0;
}
