module github.com/libiotda/libiotda/crates/bench/peers/go/wrapper

go 1.24

require (
	github.com/libiotda/libiotda/bindings/go/iotda v0.0.0
	github.com/libiotda/libiotda/crates/bench/peers/go/cost v0.0.0
)

replace (
	github.com/libiotda/libiotda/bindings/go/iotda => ../../../../../bindings/go/iotda
	github.com/libiotda/libiotda/crates/bench/peers/go/cost => ../cost
)
