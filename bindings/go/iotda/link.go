//go:build !iotda_static

// How the library is found: the installed one, by pkg-config. With the build tag iotda_static it is link_static.go.

package iotda

// #cgo pkg-config: iotda
import "C"
