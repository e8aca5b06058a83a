# What `cmake --install` installs: libraries, headers, the CMake package, pkg-config files, licences. Every path
# in them is relative, so that the prefix may be moved.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/iotda")
set(_made "${CMAKE_CURRENT_BINARY_DIR}/made")

install(TARGETS iotda_static EXPORT iotda-static ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT dev)
install(TARGETS iotda_shared EXPORT iotda-shared
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime NAMELINK_COMPONENT dev)
# Only when asked for: cmake --install BUILD --component debug. Debuggers look into .debug beside a library.
install(FILES "$<TARGET_FILE:iotda_shared>.debug" DESTINATION "${CMAKE_INSTALL_LIBDIR}/.debug"
  COMPONENT debug EXCLUDE_FROM_ALL)
install(FILES "${IOTDA_SOURCE_DIR}/include/iotda.h" "${IOTDA_SOURCE_DIR}/include/iotda.hpp"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT dev)
install(DIRECTORY "${IOTDA_SOURCE_DIR}/include/iotda" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT dev
  FILES_MATCHING PATTERN "*.hpp")

# What valgrind finds wrong with programs that use the library, and is not.
install(FILES "${CMAKE_CURRENT_SOURCE_DIR}/iotda.supp" DESTINATION "${CMAKE_INSTALL_DATADIR}/iotda" COMPONENT dev)

# Each library's targets in a file of their own: a package may leave one out.
foreach(_linkage static shared)
  install(EXPORT iotda-${_linkage} NAMESPACE iotda:: FILE iotda-${_linkage}.cmake
    DESTINATION "${_cmake_dir}" COMPONENT dev)
endforeach()
configure_file("${CMAKE_CURRENT_SOURCE_DIR}/iotdaConfig.cmake.in" "${_made}/iotdaConfig.cmake" @ONLY)
# Before 1.0 a new minor version may break what an older one promised.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(_compatibility SameMinorVersion)
else()
  set(_compatibility SameMajorVersion)
endif()
write_basic_package_version_file("${_made}/iotdaConfigVersion.cmake" COMPATIBILITY ${_compatibility})
install(FILES "${_made}/iotdaConfig.cmake" "${_made}/iotdaConfigVersion.cmake"
  "${CMAKE_CURRENT_SOURCE_DIR}/modules/iotda-gc-sections.cmake"
  DESTINATION "${_cmake_dir}" COMPONENT dev)

# From lib/pkgconfig, or lib/x86_64-linux-gnu/pkgconfig, up to the prefix.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  message(FATAL_ERROR "CMAKE_INSTALL_LIBDIR and CMAKE_INSTALL_INCLUDEDIR must be relative to the prefix.")
endif()
file(RELATIVE_PATH _up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
string(REGEX REPLACE "/$" "" IOTDA_PREFIX_FROM_PKGCONFIG "${_up}")
list(JOIN IOTDA_NATIVE_LIBRARIES " " IOTDA_NATIVE_LINE)
foreach(_module iotda iotda-static)
  configure_file("${CMAKE_CURRENT_SOURCE_DIR}/${_module}.pc.in" "${_made}/${_module}.pc" @ONLY)
  install(FILES "${_made}/${_module}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT dev)
endforeach()

install(FILES "${IOTDA_SOURCE_DIR}/LICENSE-MIT" "${IOTDA_SOURCE_DIR}/LICENSE-APACHE" "${IOTDA_LICENCES}"
  DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/libiotda" COMPONENT runtime)
