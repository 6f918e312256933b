// Made by golib of this case:
//     Case(Go(NoCallback(), recover=True))

#define _GNU_SOURCE
#include <stdio.h>

#include "lib.h"

void nocallback2(void)
{
	go3();
}

int main(void)
{
	go1();
	puts("passed");
	return 0;
}
