module reproducer

go 1.21
