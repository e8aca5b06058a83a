module github.com/libiotda/libiotda/crates/bench/peers/go/nethttp

go 1.24

require github.com/libiotda/libiotda/crates/bench/peers/go/cost v0.0.0

replace github.com/libiotda/libiotda/crates/bench/peers/go/cost => ../cost
