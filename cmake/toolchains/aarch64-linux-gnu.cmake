# 64-bit ARM, with Debian's cross compiler, crossbuild-essential-arm64. cargo needs rustc's library for
# aarch64-unknown-linux-gnu: libstd-rust-dev:arm64 of Debian, or rustup target add aarch64-unknown-linux-gnu.
#
#     cmake -S cmake -B build/aarch64 --toolchain $PWD/cmake/toolchains/aarch64-linux-gnu.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# Libraries and headers are the target's, programs are this machine's. Packages may be below any prefix that
# CMAKE_PREFIX_PATH names.
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

# For ctest: programs run here under emulation, by Debian's qemu-user.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
