//go:build iotda_system && !iotda_static

// How the library is found with the build tag iotda_system: the installed shared library, by pkg-config. With the tag
// iotda_static it is link_static.go, without either link_archive.go.

package iotda

// #cgo pkg-config: iotda
import "C"
