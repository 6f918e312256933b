// What the seed's C program does (testcarchive/testdata/main9.c).

#include "seed.h"

#include <stdint.h>

extern void GoF(int32_t);

// The bridge's: runs what a case puts in the place of this C, if it does.
// Without the bridge this library is the seed's.
extern int golib_instead(void) __attribute__((weak));

__attribute__((noinline)) static void use(volatile int *x) { (*x)++; }

static void callGoFWithDeepStack(int p)
{
	volatile int x[10000];

	x[0] = x[9999] = 0;
	use(&x[0]);
	use(&x[9999]);
	GoF(p);
	use(&x[0]);
	use(&x[9999]);
}

void callGoWithVariousStack(int p)
{
	if (golib_instead && golib_instead())
		return;
	GoF(0);
	callGoFWithDeepStack(p);
	GoF(0);
}
