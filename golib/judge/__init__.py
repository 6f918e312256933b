"""What a run came to: the trace held against the script (model), the end of the child (outcome), and the
known issues that explain both (known).

Pure: no process, no clock, no Go."""
