module github.com/libiotda/libiotda/examples/bench/go/nethttp

go 1.24

require github.com/libiotda/libiotda/examples/bench/go/cost v0.0.0

replace github.com/libiotda/libiotda/examples/bench/go/cost => ../cost
