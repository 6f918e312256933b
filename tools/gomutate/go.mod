module gomutate

go 1.21
