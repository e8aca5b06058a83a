# A script that libraries.cmake runs: writes to OUTPUT the licences of the crates that are in the libraries, or in another PACKAGE.

cmake_minimum_required(VERSION 3.21)

if(NOT DEFINED PACKAGE)
  set(PACKAGE libiotda)
endif()
set(select --package "${PACKAGE}" --no-default-features "--features=${FEATURES}" --target "${RUST_TARGET}")
execute_process(COMMAND "${CARGO}" tree --quiet --locked ${select} --edges normal --prefix none --format "{p}|{l}"
  WORKING_DIRECTORY "${SOURCE_DIR}" OUTPUT_VARIABLE crates COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${CARGO}" metadata --quiet --locked --format-version 1 --filter-platform "${RUST_TARGET}"
  WORKING_DIRECTORY "${SOURCE_DIR}" OUTPUT_VARIABLE metadata COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "\"manifest_path\":\"[^\"]+\"" manifests "${metadata}")

string(REPLACE "\n" ";" crates "${crates}")
list(REMOVE_DUPLICATES crates)
list(SORT crates)
set(table "")
set(texts "")
set(known "")
foreach(crate IN LISTS crates)
  # "ring v0.17.14|Apache-2.0 AND ISC"; our own have a path behind the version, and those seen before a "(*)".
  if(crate STREQUAL "" OR crate MATCHES "/|\\(\\*\\)" OR NOT crate MATCHES "^([^ ]+) v([^ |]+)[^|]*\\|(.*)$")
    continue()
  endif()
  set(name "${CMAKE_MATCH_1} ${CMAKE_MATCH_2}")
  set(directory_name "${CMAKE_MATCH_1}-${CMAKE_MATCH_2}")
  string(APPEND table "  ${name}: ${CMAKE_MATCH_3}\n")
  foreach(manifest IN LISTS manifests)
    if(NOT manifest MATCHES "^\"manifest_path\":\"(.*/${directory_name})/Cargo.toml\"$")
      continue()
    endif()
    file(GLOB files "${CMAKE_MATCH_1}/LICENSE*" "${CMAKE_MATCH_1}/LICENCE*" "${CMAKE_MATCH_1}/COPYING*"
      "${CMAKE_MATCH_1}/NOTICE*")
    foreach(file IN LISTS files)
      if(IS_DIRECTORY "${file}")
        continue()
      endif()
      file(SHA256 "${file}" sum)
      get_filename_component(title "${file}" NAME)
      if(sum IN_LIST known)
        continue()
      endif()
      list(APPEND known "${sum}")
      file(READ "${file}" text)
      string(APPEND texts "\n---- ${title} of ${name} ----\n\n${text}\n")
    endforeach()
  endforeach()
endforeach()
if(table STREQUAL "" OR texts STREQUAL "")
  message(FATAL_ERROR "cargo names no crate, or none has a licence text: ${crates}")
endif()
# See unwinder.cmake. The exception asks for no text in programs.
set(unwinder "")
if(RUST_TARGET MATCHES "musl")
  set(unwinder ", with LLVM's libunwind (Apache-2.0 WITH LLVM-exception)")
endif()
file(WRITE "${OUTPUT}.new" "libiotda is licensed under MIT or Apache-2.0, as you like. It holds these crates, and the Rust standard
library (MIT OR Apache-2.0)${unwinder}:

${table}
Where several of them have the same licence text, it is here once.
${texts}")
file(COPY_FILE "${OUTPUT}.new" "${OUTPUT}" ONLY_IF_DIFFERENT)
file(REMOVE "${OUTPUT}.new")
