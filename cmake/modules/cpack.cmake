# What `cpack` makes of the installation: a .tar.gz (cpack -G TGZ), and Debian's two packages (cpack -G DEB, configured
# with -DCMAKE_INSTALL_PREFIX=/usr).

set(CPACK_PACKAGE_NAME libiotda)
set(CPACK_PACKAGE_VENDOR "libiotda")
set(CPACK_PACKAGE_CONTACT "The libiotda maintainers <libiotda@users.noreply.github.com>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
string(REGEX REPLACE "-unknown" "" _system "${IOTDA_RUST_TARGET}")
set(CPACK_PACKAGE_FILE_NAME "libiotda-${PROJECT_VERSION}-${_system}")
set(CPACK_ARCHIVE_COMPONENT_INSTALL OFF)
set(CPACK_THREADS 0)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_COMPONENTS_ALL runtime dev)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_MULTIARCH same)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME "libiotda${_abi}")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION
"The shared library: authenticates devices of Huawei Cloud's IoT platform,
reports properties and messages, and reports for the child devices of a
gateway in batches.")
set(CPACK_DEBIAN_DEV_PACKAGE_NAME "libiotda-dev")
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libiotda${_abi} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEV_PACKAGE_SHLIBDEPS OFF)
set(CPACK_COMPONENT_DEV_DESCRIPTION
"The headers, the static library, the CMake package and the pkg-config files.")
include(CPack)
