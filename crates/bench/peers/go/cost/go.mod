module github.com/libiotda/libiotda/crates/bench/peers/go/cost

go 1.24
