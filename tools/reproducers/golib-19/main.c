// Made by golib of this case:
//     Case(Setrlimit(stack=262144), Go(), Setrlimit(), C(Go(GC()), stack=241664), C(Go(GC()),
//     stack=242688), C(Go(GC()), stack=243712), C(Go(GC()), stack=244736), C(Go(GC()), stack=245760),
//     C(Go(GC()), stack=246784), C(Go(GC()), stack=247808), C(Go(GC()), stack=248832), C(Go(GC()),
//     stack=249856), C(Go(GC()), stack=250880), C(Go(GC()), stack=251904), C(Go(GC()), stack=252928),
//     C(Go(GC()), stack=253952), C(Go(GC()), stack=254976), C(Go(GC()), stack=256000))

#define _GNU_SOURCE
#include <stdio.h>
#include <sys/resource.h>

#include "lib.h"

static void set_limit(rlim_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_STACK, &limit);
	limit.rlim_cur = bytes;
	setrlimit(RLIMIT_STACK, &limit);
}

__attribute__((noinline)) void c2(void)
{
	volatile char room[241664];

	room[0] = room[241663] = 1;
	go3();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c4(void)
{
	volatile char room[242688];

	room[0] = room[242687] = 1;
	go5();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c6(void)
{
	volatile char room[243712];

	room[0] = room[243711] = 1;
	go7();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c8(void)
{
	volatile char room[244736];

	room[0] = room[244735] = 1;
	go9();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c10(void)
{
	volatile char room[245760];

	room[0] = room[245759] = 1;
	go11();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c12(void)
{
	volatile char room[246784];

	room[0] = room[246783] = 1;
	go13();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c14(void)
{
	volatile char room[247808];

	room[0] = room[247807] = 1;
	go15();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c16(void)
{
	volatile char room[248832];

	room[0] = room[248831] = 1;
	go17();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c18(void)
{
	volatile char room[249856];

	room[0] = room[249855] = 1;
	go19();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c20(void)
{
	volatile char room[250880];

	room[0] = room[250879] = 1;
	go21();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c22(void)
{
	volatile char room[251904];

	room[0] = room[251903] = 1;
	go23();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c24(void)
{
	volatile char room[252928];

	room[0] = room[252927] = 1;
	go25();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c26(void)
{
	volatile char room[253952];

	room[0] = room[253951] = 1;
	go27();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c28(void)
{
	volatile char room[254976];

	room[0] = room[254975] = 1;
	go29();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) void c30(void)
{
	volatile char room[256000];

	room[0] = room[255999] = 1;
	go31();
	__asm__ volatile("" : : "r"(room) : "memory");
}

int main(void)
{
	set_limit(262144);
	go1();
	set_limit(8388608);
	c2();
	c4();
	c6();
	c8();
	c10();
	c12();
	c14();
	c16();
	c18();
	c20();
	c22();
	c24();
	c26();
	c28();
	c30();
	puts("passed");
	return 0;
}
