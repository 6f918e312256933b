// Made by golib of this case:
//     Case(Go(Pull(), C(Go(Next()))))

#define _GNU_SOURCE
#include <stdio.h>

#include "lib.h"

void c2(void)
{
	go3();
}

int main(void)
{
	go1();
	puts("passed");
	return 0;
}
