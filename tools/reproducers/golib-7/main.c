// Made by golib of this case:
//     Case(Go(), C(Thread(Go()), times=200))

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

static void *in_thread3(void *arg)
{
	go4();
	return arg;
}

void thread3(void)
{
	pthread_join(start(in_thread3, 8388608, NULL), NULL);
}

void c2(void)
{
	for (long round = 0; round < 200; round++) {
		thread3();
	}
}

int main(void)
{
	go1();
	c2();
	if (notInGo() > 6) {
		printf("wrong: %d goroutines are said to be in C\n", (int)notInGo());
		return 1;
	}
	puts("passed");
	return 0;
}
