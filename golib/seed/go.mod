module pytest-golib.invalid/seed

go 1.21
