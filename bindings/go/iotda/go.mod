module github.com/libiotda/libiotda/bindings/go/iotda

go 1.24
