//go:build cgo && !iotda_system && !iotda_static

// How the library is found without a build tag: in the published module, which this file is not part of, it comes in a
// module of its own for each platform. A checkout has none of these: crates/dist publishes them. The name below exists
// nowhere: the compiler's message is meant for whoever builds.

package iotda

var _ = a_checkout_has_no_archive_of_libiotda__install_it_and_build_with_tags_iotda_system
