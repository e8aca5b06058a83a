# The targets: iotda_static and iotda_shared, both of one object that cargo and object.cmake make.

set(_object "${CMAKE_CURRENT_BINARY_DIR}/object/$<CONFIG>/iotda.o")
set(_features ${IOTDA_CARGO_FEATURES})
if(IOTDA_ROOTS MATCHES "public")
  list(APPEND _features public-roots)
endif()
if(IOTDA_ROOTS MATCHES "platform")
  list(APPEND _features platform-roots)
endif()
if(IOTDA_TLS13)
  list(APPEND _features tls13)
endif()
list(JOIN _features "," _features)
if(CMAKE_CROSSCOMPILING AND CMAKE_SYSROOT)
  set(_sysroot "--sysroot=${CMAKE_SYSROOT}")
endif()

# Always run: cargo knows best whether there is something to do.
add_custom_target(iotda_object
  COMMAND "${CMAKE_COMMAND}"
    "-DCARGO=${IOTDA_CARGO}"
    "-DCARGO_TARGET_DIR=${IOTDA_CARGO_TARGET_DIR}"
    "-DPROFILE=$<IF:$<CONFIG:Debug>,dev,release>"
    "-DFEATURES=${_features}"
    "-DBUILD_STD=${IOTDA_BUILD_STD}"
    "-DRUST_TARGET=${IOTDA_RUST_TARGET}"
    "-DCC=${CMAKE_C_COMPILER}" "-DCC_TARGET=${CMAKE_C_COMPILER_TARGET}" "-DSYSROOT=${_sysroot}"
    "-DAR=${CMAKE_AR}" "-DLD=${CMAKE_LINKER}" "-DNM=${CMAKE_NM}" "-DOBJCOPY=${CMAKE_OBJCOPY}"
    "-DSOURCE_DIR=${IOTDA_SOURCE_DIR}"
    "-DOBJECT=${_object}"
    -P "${CMAKE_CURRENT_SOURCE_DIR}/modules/object.cmake"
  BYPRODUCTS "${_object}" "${CMAKE_CURRENT_BINARY_DIR}/object/$<CONFIG>/iotda-small.o"
  COMMENT "Building libiotda with cargo for ${IOTDA_RUST_TARGET}"
  VERBATIM USES_TERMINAL)

if(IOTDA_INSTALL)
  set(IOTDA_LICENCES "${CMAKE_CURRENT_BINARY_DIR}/THIRD-PARTY.txt")
  add_custom_command(OUTPUT "${IOTDA_LICENCES}"
    COMMAND "${CMAKE_COMMAND}" "-DCARGO=${IOTDA_CARGO}" "-DFEATURES=${_features}" "-DRUST_TARGET=${IOTDA_RUST_TARGET}"
      "-DSOURCE_DIR=${IOTDA_SOURCE_DIR}" "-DOUTPUT=${IOTDA_LICENCES}"
      -P "${CMAKE_CURRENT_SOURCE_DIR}/modules/licences.cmake"
    DEPENDS "${IOTDA_SOURCE_DIR}/Cargo.lock" "${CMAKE_CURRENT_SOURCE_DIR}/modules/licences.cmake"
    COMMENT "Collecting the licences of the crates" VERBATIM)
  add_custom_target(iotda_licences ALL DEPENDS "${IOTDA_LICENCES}")
endif()

# The static library without debug information, which is most of its size, unless it was asked for.
set(_keeps_debug "$<CONFIG:Debug,RelWithDebInfo>")
set(_small "${CMAKE_CURRENT_BINARY_DIR}/object/$<CONFIG>/iotda-small.o")
add_library(iotda_static STATIC "$<IF:${_keeps_debug},${_object},${_small}>")
add_library(iotda_shared SHARED "${_object}")
foreach(_library iotda_static iotda_shared)
  add_dependencies(${_library} iotda_object)
  set_target_properties(${_library} PROPERTIES OUTPUT_NAME iotda LINKER_LANGUAGE C)
  target_include_directories(${_library} INTERFACE
    "$<BUILD_INTERFACE:${IOTDA_SOURCE_DIR}/include>"
    "$<INSTALL_INTERFACE:include>")
endforeach()
set_source_files_properties("${_object}" "${_small}" PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
set_target_properties(iotda_static PROPERTIES EXPORT_NAME static)
target_link_libraries(iotda_static INTERFACE ${IOTDA_NATIVE_LIBRARIES})
# Not in the package, which asks the linker of each user.
include(modules/iotda-gc-sections.cmake)
iotda_gc_sections(iotda_static BUILD_INTERFACE)

set(_map "${CMAKE_CURRENT_SOURCE_DIR}/iotda.map")
set_target_properties(iotda_shared PROPERTIES
  EXPORT_NAME shared
  VERSION "${PROJECT_VERSION}"
  SOVERSION "${_abi}"
  LINK_DEPENDS "${_map}")
target_link_libraries(iotda_shared PRIVATE ${IOTDA_NATIVE_LIBRARIES})
target_link_options(iotda_shared PRIVATE
  "LINKER:--version-script=${_map}" "LINKER:--gc-sections" "LINKER:--as-needed" "LINKER:--build-id=sha1"
  "LINKER:-z,relro" "LINKER:-z,now" "LINKER:-z,defs")
# Debug information in a file beside the library, where debuggers look for it.
add_custom_command(TARGET iotda_shared POST_BUILD
  COMMAND "${CMAKE_OBJCOPY}" --only-keep-debug "$<TARGET_FILE:iotda_shared>" "$<TARGET_FILE:iotda_shared>.debug"
  COMMAND "${CMAKE_OBJCOPY}" --strip-unneeded
    "--add-gnu-debuglink=$<TARGET_FILE:iotda_shared>.debug" "$<TARGET_FILE:iotda_shared>"
  VERBATIM)

# As a part of another project, only what it links is built.
if(NOT IOTDA_INSTALL)
  set_target_properties(iotda_static iotda_shared PROPERTIES EXCLUDE_FROM_ALL TRUE)
endif()

add_library(iotda INTERFACE)
target_link_libraries(iotda INTERFACE iotda_${IOTDA_LINKAGE})
add_library(iotda::static ALIAS iotda_static)
add_library(iotda::shared ALIAS iotda_shared)
add_library(iotda::iotda ALIAS iotda)
