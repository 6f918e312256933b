module golib/bridge

go 1.21
