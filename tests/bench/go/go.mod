module comparator

go 1.21
