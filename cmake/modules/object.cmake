# A script that libraries.cmake runs: builds crates/libiotda with cargo, and makes of its archive one object in
# which only the C API can be seen, so that a second Rust library may be linked into the same program.
#
# Writes OBJECT, and beside it iotda-small.o, the same without debug information.

cmake_minimum_required(VERSION 3.21)

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    list(GET ARGV 0 program)
    message(FATAL_ERROR "${program} failed (${result}); what it said stands above.")
  endif()
endfunction()

# --- cargo, with the C compiler and the tools that CMake uses

string(REPLACE "-" "_" name "${RUST_TARGET}")
string(TOUPPER "${name}" upper_name)
set(ENV{CC_${name}} "${CC}")
set(ENV{AR_${name}} "${AR}")
set(ENV{CARGO_TARGET_${upper_name}_LINKER} "${CC}")
set(c_flags "${SYSROOT}")
if(CC_TARGET)
  string(APPEND c_flags " --target=${CC_TARGET}")
endif()
if(NOT c_flags STREQUAL "")
  set(ENV{CFLAGS_${name}} "${c_flags} $ENV{CFLAGS_${name}}")
endif()

# No directory of this machine gets into the libraries: it would say nothing to a user, and make two builds of the
# same source differ. Of several that match rustc takes the last, so the longest path comes last.
get_filename_component(rust_bin "${CARGO}" DIRECTORY)
find_program(rustc rustc HINTS "$ENV{RUSTC}" "${rust_bin}" REQUIRED)
execute_process(COMMAND "${rustc}" --print sysroot OUTPUT_VARIABLE sysroot OUTPUT_STRIP_TRAILING_WHITESPACE
  COMMAND_ERROR_IS_FATAL ANY WORKING_DIRECTORY "${SOURCE_DIR}")
set(cargo_home "$ENV{CARGO_HOME}")
if(NOT cargo_home)
  set(cargo_home "$ENV{HOME}/.cargo")
endif()
set(mappings "")
foreach(mapping "${sysroot}=/rust" "${cargo_home}=/cargo" "${SOURCE_DIR}=/libiotda" "${CARGO_TARGET_DIR}=/target")
  string(LENGTH "${mapping}" length)
  math(EXPR length "100000 + ${length}")
  list(APPEND mappings "${length}:${mapping}")
endforeach()
list(SORT mappings)
string(ASCII 31 separator)
if(DEFINED ENV{CARGO_ENCODED_RUSTFLAGS})
  set(flags "$ENV{CARGO_ENCODED_RUSTFLAGS}")
else()
  string(REGEX REPLACE "[ \t\n]+" "${separator}" flags "$ENV{RUSTFLAGS}")
endif()
foreach(mapping IN LISTS mappings)
  string(REGEX REPLACE "^[0-9]+:" "" mapping "${mapping}")
  string(APPEND flags "${separator}--remap-path-prefix=${mapping}")
endforeach()
string(REGEX REPLACE "^${separator}" "" flags "${flags}")
set(ENV{CARGO_ENCODED_RUSTFLAGS} "${flags}")

# Rust's own library, when it is to be built as well: as small as it can be, with unwinding, without what prints a
# backtrace. rustc and cargo know this as unstable, and do it only for who says so.
set(build_std "")
if(BUILD_STD)
  set(rust_source "${sysroot}/lib/rustlib/src/rust/library")
  if(NOT EXISTS "${rust_source}/std/Cargo.toml")
    message(FATAL_ERROR "IOTDA_BUILD_STD needs the source of Rust's own library, which is not in ${rust_source}. "
      "With rustup: rustup component add rust-src. On Debian: sudo apt-get install rust-src.")
  endif()
  set(ENV{RUSTC_BOOTSTRAP} 1)
  set(build_std -Z build-std=std,panic_unwind -Z build-std-features=panic-unwind,optimize_for_size)
endif()

# Builds with other features may share the directory, in which the last one's archive lies: until this one's is read, they
# wait. The lock ends with this script.
file(LOCK "${CARGO_TARGET_DIR}/libiotda.lock")

run("${CMAKE_COMMAND}" -E chdir "${SOURCE_DIR}" "${CARGO}" rustc --package libiotda --lib --locked
  ${build_std}
  --profile "${PROFILE}" --no-default-features "--features=${FEATURES}"
  --target "${RUST_TARGET}" --target-dir "${CARGO_TARGET_DIR}" --crate-type staticlib)
if(PROFILE STREQUAL "dev")
  set(PROFILE debug)
endif()
set(archive "${CARGO_TARGET_DIR}/${RUST_TARGET}/${PROFILE}/libiotda.a")

# --- one object of the archive

# The same archive, features and tools make the same object.
get_filename_component(dir "${OBJECT}" DIRECTORY)
set(small "${dir}/iotda-small.o")
file(SHA256 "${archive}" made_of)
file(SHA256 "${CMAKE_SCRIPT_MODE_FILE}" this)
file(SHA256 "${CMAKE_CURRENT_LIST_DIR}/unwinder.cmake" unwinder)
string(APPEND made_of " ${this} ${unwinder} ${LD} ${OBJCOPY}")
set(note "${dir}/made-of")
if(EXISTS "${note}" AND EXISTS "${OBJECT}" AND EXISTS "${small}")
  file(READ "${note}" noted)
  if(noted STREQUAL made_of)
    return()
  endif()
endif()
file(MAKE_DIRECTORY "${dir}")
file(REMOVE "${note}")

# The functions of the API, in the posix format: "iotda_auth T 0 5a".
execute_process(COMMAND "${NM}" --defined-only --extern-only --format=posix "${archive}"
  OUTPUT_VARIABLE symbols ERROR_VARIABLE errors RESULT_VARIABLE result)
string(REGEX MATCHALL "(^|\n)iotda_[a-z0-9_]+ T" symbols "${symbols}")
if(NOT result EQUAL 0 OR NOT symbols)
  message(FATAL_ERROR "${NM} finds no function of the API in ${archive}: ${errors}")
endif()
set(roots "")
foreach(symbol IN LISTS symbols)
  string(REGEX REPLACE "[\n ]|T$" "" symbol "${symbol}")
  list(APPEND roots -u "${symbol}")
endforeach()

include("${CMAKE_CURRENT_LIST_DIR}/unwinder.cmake")
find_unwinder(unwinder)

# Linked once, from the API on: what nothing calls is left out. Groups (COMDAT) are dissolved, because the linker
# would take the group of another Rust library in the program, although the one here has become local: it links, and
# crashes on a panic.
set(leave_out --gc-sections)
if(RUST_TARGET MATCHES "^riscv")
  # ld for RISC-V leaves gaps in the tables for unwinding, for which it then refuses to make the table that a panic is
  # caught by. What nothing calls is left to the link of the program.
  set(leave_out "")
endif()
run("${LD}" -r ${leave_out} --force-group-allocation ${roots} -o "${OBJECT}.linked" "${archive}" ${unwinder})
run("${OBJCOPY}" --wildcard "--keep-global-symbol=iotda_*" --remove-section=.llvmbc --remove-section=.llvmcmd
  "${OBJECT}.linked" "${OBJECT}.local")
# The names of the functions inside stay: profilers and backtraces are of no use without.
run("${OBJCOPY}" --strip-debug "${OBJECT}.local" "${small}")
file(REMOVE "${OBJECT}.linked")
file(RENAME "${OBJECT}.local" "${OBJECT}")
file(WRITE "${note}" "${made_of}")
