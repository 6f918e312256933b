#!/bin/bash
# ./run.sh builds and runs it, ./run.sh build and ./run.sh run do one of both.
# GO=go1.27.4 MODE=c-shared CC=gcc OPT=-O0 ./run.sh; without these: go, c-archive, cc, -O2
set -eu
cd "$(dirname "$0")"
GO=${GO:-go}
CC=${CC:-cc}
OPT=${OPT:--O2}
if [ "${1:-}" = run ]; then
	: # what is there
elif [ "${MODE:-c-archive}" = c-shared ]; then
	"$GO" build -buildmode=c-shared -o lib.so ./lib
	mv lib.h lib/
	"$CC" -g "$OPT" -Wall -Wextra -Werror -Ilib -o reproducer main.c ./lib.so -Wl,-rpath,. -ldl -pthread
else
	"$GO" build -buildmode=c-archive -o lib.a ./lib
	mv lib.h lib/
	"$CC" -g "$OPT" -Wall -Wextra -Werror -Ilib -o reproducer main.c lib.a -ldl -pthread
fi
if [ "${1:-}" = build ]; then
	exit
fi
ulimit -c 0
ulimit -S -s 8192
# A program that hangs shows its stacks when it is sent SIGSEGV.
exec timeout --foreground -s SEGV -k 10 "${SECONDS_EACH:-10}" ./reproducer
