module github.com/libiotda/libiotda/examples/fleet

go 1.24.0

require (
	github.com/libiotda/libiotda/bindings/go/iotda v0.0.0
	github.com/nats-io/nats-server/v2 v2.12.4
	github.com/nats-io/nats.go v1.49.0
	github.com/nats-io/nuid v1.0.1
	go.yaml.in/yaml/v3 v3.0.4
)

require (
	github.com/antithesishq/antithesis-sdk-go v0.5.0-default-no-op // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/klauspost/compress v1.18.3 // indirect
	github.com/minio/highwayhash v1.0.4-0.20251030100505-070ab1a87a76 // indirect
	github.com/nats-io/jwt/v2 v2.8.0 // indirect
	github.com/nats-io/nkeys v0.4.12 // indirect
	golang.org/x/crypto v0.47.0 // indirect
	golang.org/x/sys v0.40.0 // indirect
	golang.org/x/time v0.14.0 // indirect
)

// In the repository the bindings are beside the example. A program of your own leaves this out and runs
// `go get github.com/libiotda/libiotda/bindings/go/iotda`.
replace github.com/libiotda/libiotda/bindings/go/iotda => ../../bindings/go/iotda
