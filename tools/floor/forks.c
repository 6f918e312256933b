// The floor of a verdict: fork + dlopen + one call into Go + _exit, in a loop
// and nothing else.
//
//     forks LIBRARY TIMES    prints the nanoseconds of all of them together

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void child(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);
	void (*call)(void) = library ? (void (*)(void))dlsym(library, "GoEmpty") : 0;

	if (!call)
		_exit(1);
	call();
	_exit(0);
}

int main(int argc, char **argv)
{
	struct timespec begin, end;
	int times, status;
	pid_t pid;

	if (argc != 3)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (times = atoi(argv[2]); times > 0; times--) {
		pid = fork();
		if (pid == 0)
			child(argv[1]);
		if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
			fprintf(stderr, "a child failed\n");
			return 1;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%lld\n", (end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec);
	return 0;
}
