//go:build !cgo

// Without cgo there is no library to call. The name below exists nowhere: the compiler's message is meant for whoever
// builds with CGO_ENABLED=0, or without a C compiler.

package iotda

var _ = iotda_needs_cgo__set_CGO_ENABLED_to_1_and_install_a_C_compiler
