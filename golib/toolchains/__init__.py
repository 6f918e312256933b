"""SPEC to Library: which Go (toolchain), what it builds (build), where the runtime's fields are in it
(layout), and the names of its functions (symbols).  Only this folder runs the go command."""
