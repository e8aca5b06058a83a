//go:build iotda_static

// How the library is found with the build tag iotda_static: the installed static library, by pkg-config.

package iotda

// #cgo pkg-config: iotda-static
import "C"
