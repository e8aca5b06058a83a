//go:build iotda_static

// How the library is found with the build tag iotda_static: the archive libiotda.a is named in the environment variable
// CGO_LDFLAGS, which the go command puts before these. They are what the archive needs of the system.

package iotda

// #cgo linux LDFLAGS: -lutil -lrt -lpthread -lm -ldl -lc
import "C"
