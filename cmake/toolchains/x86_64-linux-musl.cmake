# x86-64 with the C library musl, by the compiler wrapper of Debian's musl-tools. cargo needs rustc's library for
# x86_64-unknown-linux-musl: rustup target add x86_64-unknown-linux-musl. Debian has no package of it.
#
#     cmake -S cmake -B build/x86_64 --toolchain $PWD/cmake/toolchains/x86_64-linux-musl.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER musl-gcc)
# The wrapper calls itself by the name of the compiler that it wraps.
set(IOTDA_RUST_TARGET x86_64-unknown-linux-musl)

# Programs are linked statically: they run on systems without musl.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH /usr/lib/x86_64-linux-musl)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
