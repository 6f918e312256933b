"""The bridge's broken twin: built on purpose with C frames that die, hang, flood or leave something behind.

Each ``Break`` is a number of bytes that no honest test asks a C frame to hold: ``breaking(Break.ABORT)``
passes every check of the call tree and goes through the ordinary door, and the twin acts on it where
the bridge would hold the bytes.  It differs from the bridge by an overlay, so the bridge itself carries
nothing of this.
"""

from __future__ import annotations

import json
from enum import IntEnum
from pathlib import Path

from golib import C
from golib.toolchains.build import BRIDGE

FLOOD_LINE = "00000000 is a line of the flood\n"
FLOOD_LINES = 40_000
"""Of 32 bytes each: ten times what is kept of a child's stderr."""


class Break(IntEnum):
    """What the twin does instead of holding so many bytes (all fit the main thread's stack)."""

    HANG = 7_000_001
    EXIT_0 = 7_000_002
    EXIT_2 = 7_000_003
    EXIT_3 = 7_000_004
    SEGFAULT = 7_000_005
    KILLED = 7_000_006
    ABORT = 7_000_007
    FLOOD = 7_000_008  # and goes on
    FLOOD_AND_HANG = 7_000_009
    PANIC = 7_000_010  # GoF(1) with no recover anywhere
    THROW = 7_000_011  # a fatal error of Go's that no recover can stop
    FILL_TRACE = 7_000_012  # and goes on
    MASK = 7_000_013  # blocks SIGUSR2 and goes on: the next frame above must see it
    FORK = 7_000_014  # leaves a child behind, says its pid, and goes on
    FORK_AND_HANG = 7_000_015
    HANG_IN_GO = 7_000_016  # a goroutine that never comes back
    DEAF_HANG = 7_000_017  # hangs with all signals blocked that can be
    LIMITS = 7_000_018  # says RLIMIT_CORE and RLIMIT_STACK, and goes on
    ESCAPE = 7_000_019  # as FORK, into a session of its own
    TELL_AND_HANG = 7_000_020  # tells its pid to who reads the fifo GOLIB_TEST_FIFO, and hangs


def breaking(action: Break) -> C:
    """The C frame that does it.  A plain number, for the server knows no enum of the tests."""
    return C(stack=int(action))


_C = r"""
#define _GNU_SOURCE
#include "golib.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

extern void GoF(int32_t);
extern void golibThrow(void);
extern void golibSpin(void);

static void say(const char *format, long first, long second)
{
	char line[128];
	int size = snprintf(line, sizeof line, format, first, second);

	if (write(2, line, size) != size)
		abort();
}

static void flood(void)
{
	long i;

	say("the first line\n", 0, 0);
	for (i = 0; i < FLOOD_LINES; i++)
		say("%08ld is a line of the flood\n", i, 0);
	say("the last line\n", 0, 0);
}

static void hang(void)
{
	for (;;)
		pause();
}

static void tell(void)
{
	FILE *fifo = fopen(getenv("GOLIB_TEST_FIFO"), "w");

	fprintf(fifo, "%d", getpid());
	fclose(fifo);
}

static void leave_behind(int escape)
{
	pid_t child = fork();

	if (child == 0) {
		if (escape)
			setsid();
		hang();
	}
	say("left %ld behind\n", child, 0);
}

void golib_broken(struct node *n)
{
	struct rlimit core, stack;
	sigset_t mask;
	long i;

	switch (n->stack) {
	default: return;
	case HANG: hang();
	case TELL_AND_HANG: tell(); hang();
	case EXIT_0: _exit(0);
	case EXIT_2: _exit(2);
	case EXIT_3: _exit(3);
	case SEGFAULT: *(volatile int *)16 = 1; break;
	case KILLED: kill(getpid(), SIGKILL); break;
	case ABORT: abort();
	case FLOOD: flood(); break;
	case FLOOD_AND_HANG: flood(); hang();
	case PANIC: GoF(1); break;
	case THROW: golibThrow(); break;
	case HANG_IN_GO: golibSpin(); break;
	case FILL_TRACE:
		for (i = 0; i <= golib_header->capacity; i++)
			golib_record(n, GOLIB_ENTERED);
		break;
	case MASK:
		sigemptyset(&mask);
		sigaddset(&mask, SIGUSR2);
		pthread_sigmask(SIG_BLOCK, &mask, 0);
		break;
	case DEAF_HANG:
		sigfillset(&mask);
		pthread_sigmask(SIG_BLOCK, &mask, 0);
		signal(SIGQUIT, SIG_IGN);
		hang();
	case FORK: leave_behind(0); break;
	case ESCAPE: leave_behind(1); break;
	case FORK_AND_HANG: leave_behind(0); hang();
	case LIMITS:
		getrlimit(RLIMIT_CORE, &core);
		getrlimit(RLIMIT_STACK, &stack);
		say("core %ld stack %ld\n", (long)core.rlim_cur, (long)stack.rlim_cur);
		break;
	}
	n->stack = 0;
}

"""

_GO = """\
package bridge

import "C"
import "sync"

//export golibThrow
func golibThrow() { new(sync.Mutex).Unlock() }

//export golibSpin
func golibSpin() { select {} }
"""


def write_overlay(folder: Path) -> Path:
    """Go's overlay file for the twin, in that folder: two files more, and one call in frames.c."""
    names = "".join(f"#define {action.name} {action.value}\n" for action in Break)
    frames = (BRIDGE / "frames.c").read_text()
    frames = _replaced(
        frames, "void golib_frame_c(", "void golib_broken(struct node *);\nvoid golib_frame_c("
    )
    honest = "\tgolib_record(n, GOLIB_ENTERED);\n\tfor (round"
    frames = _replaced(frames, honest, honest.replace(";\n", ";\n\tgolib_broken(n);\n"))
    texts = {
        "frames.c": frames,
        "broken.c": f"{names}#define FLOOD_LINES {FLOOD_LINES}\n{_C}",
        "broken.go": _GO,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return overlay_of(folder, {str(BRIDGE.resolve() / name): name for name in texts})


def overlay_of(folder: Path, replace: dict[str, str]) -> Path:
    path = folder / "overlay.json"
    path.write_text(json.dumps({"Replace": replace}))
    return path


def edited(source: Path, old: str, new: str, folder: Path) -> str:
    """The name of a copy of source in folder with that one text replaced."""
    (folder / source.name).write_text(_replaced(source.read_text(), old, new))
    return source.name


def _replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"the bridge or the runtime has changed: {old!r} is not there once"
    return text.replace(old, new)
