module github.com/libiotda/libiotda/examples/go

go 1.24

require github.com/libiotda/libiotda/bindings/go/iotda v0.0.0

// In the repository the bindings are beside the example. A program of your own leaves this out and runs
// `go get github.com/libiotda/libiotda/bindings/go/iotda`.
replace github.com/libiotda/libiotda/bindings/go/iotda => ../../bindings/go/iotda
