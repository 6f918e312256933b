module pytest-golib.invalid/bridge

go 1.17
