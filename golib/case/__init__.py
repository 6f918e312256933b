"""What happens on the stacks, as frozen data: the nodes and the world (calltree), which cases are legal and
why (legality), the steps that a correct runtime makes (script), which cases there are (grammar), and the
same for Hypothesis (strategies).

Pure: no process, no clock, no Go."""
