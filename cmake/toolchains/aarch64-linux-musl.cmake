# 64-bit ARM with the C library musl, as Alpine and OpenWrt have it, by a compiler of the name that musl's cross compilers
# have: aarch64-linux-musl-gcc. Debian has none; a script of that name that runs `zig cc -target aarch64-linux-musl "$@"` is
# one. cargo needs rustc's library for aarch64-unknown-linux-musl: rustup target add aarch64-unknown-linux-musl.
#
#     cmake -S cmake -B build --toolchain cmake/toolchains/aarch64-linux-musl.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-musl-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-musl-g++)
set(IOTDA_RUST_TARGET aarch64-unknown-linux-musl)

# Those that come with the compiler, or Debian's for the other C library, binutils-aarch64-linux-gnu: they know none.
foreach(_tool LINKER:ld NM:nm OBJCOPY:objcopy STRIP:strip)
  string(REPLACE ":" ";" _tool "${_tool}")
  list(GET _tool 0 _variable)
  list(GET _tool 1 _name)
  find_program(CMAKE_${_variable} NAMES "aarch64-linux-musl-${_name}" "aarch64-linux-gnu-${_name}" REQUIRED)
endforeach()

# Programs are linked statically: they run on systems without musl.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)

# For ctest: programs run here under emulation, by Debian's qemu-user.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
