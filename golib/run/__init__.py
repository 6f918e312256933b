"""One case in one child: the fork servers (forkserver), what a forked child does (child), or one in which no
Python runs (launch), call trees as thunks (program) for a loaded bridge (binding), foreign stacks (regions),
what a process asks of Linux (process), and the trace in shared memory (trace).  ctypes prototypes stand here
alone."""
