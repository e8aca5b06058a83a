# 32-bit ARM, ARMv7 with floating point, with Debian's cross compiler, crossbuild-essential-armhf. cargo needs rustc's library for
# armv7-unknown-linux-gnueabihf: libstd-rust-dev:armhf of Debian, or rustup target add armv7-unknown-linux-gnueabihf.
#
#     cmake -S cmake -B build/arm --toolchain $PWD/cmake/toolchains/arm-linux-gnueabihf.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(CMAKE_C_COMPILER arm-linux-gnueabihf-gcc)
set(CMAKE_CXX_COMPILER arm-linux-gnueabihf-g++)

# Libraries and headers are the target's, programs are this machine's. Packages may be below any prefix that
# CMAKE_PREFIX_PATH names.
set(CMAKE_FIND_ROOT_PATH /usr/arm-linux-gnueabihf)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

# For ctest: programs run here under emulation, by Debian's qemu-user.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-arm -L /usr/arm-linux-gnueabihf)
