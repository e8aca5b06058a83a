module github.com/libiotda/libiotda/bindings/go

go 1.24
