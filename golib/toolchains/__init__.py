"""SPEC to Library: which Go (toolchain), whose package with the bridge in it (package), what it builds
(build), where the runtime's fields are (layout), and the names of its functions (symbols).  Only this folder
runs the go command."""
