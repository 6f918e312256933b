// Made by golib of this case:
//     Case(C(Together(Thread(Go(Traceback(), Traceback(), Traceback())), Thread(Go())), times=600))

#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib.h"

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
static pthread_t threads_of_together2[2];

static void *in_together2_0(void *arg)
{
	pthread_barrier_wait(&gate_of_together2);
	go3();
	return arg;
}

static void *in_together2_1(void *arg)
{
	pthread_barrier_wait(&gate_of_together2);
	go4();
	return arg;
}

void start_together2(void)
{
	pthread_barrier_init(&gate_of_together2, NULL, 2);
	threads_of_together2[0] = start(in_together2_0, 8388608, NULL);
	threads_of_together2[1] = start(in_together2_1, 8388608, NULL);
}

void join_together2(void)
{
	pthread_join(threads_of_together2[0], NULL);
	pthread_join(threads_of_together2[1], NULL);
}

void together2(void)
{
	start_together2();
	join_together2();
}

void c1(void)
{
	for (long round = 0; round < 600; round++) {
		together2();
	}
}

int main(void)
{
	c1();
	puts("passed");
	return 0;
}
