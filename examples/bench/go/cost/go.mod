module github.com/libiotda/libiotda/examples/bench/go/cost

go 1.24
