# 64-bit ARM with the C library musl, by Debian's cross compiler (crossbuild-essential-arm64) and the wrapper of it in
# musl-tools:arm64, which with musl-dev:arm64 is unpacked by `dpkg-deb --extract`, since apt would want all that it depends
# on. cargo needs rustc's library: rustup target add aarch64-unknown-linux-musl. Debian has no package of it.
#
#     cmake -S cmake -B build/aarch64 --toolchain $PWD/cmake/toolchains/aarch64-linux-musl.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-musl-gcc)
# The wrapper calls itself by the name of the compiler that it wraps.
set(IOTDA_RUST_TARGET aarch64-unknown-linux-musl)
# Its binary tools have the other name.
set(CMAKE_AR aarch64-linux-gnu-ar)
set(CMAKE_LINKER aarch64-linux-gnu-ld)
set(CMAKE_NM aarch64-linux-gnu-nm)
set(CMAKE_OBJCOPY aarch64-linux-gnu-objcopy)
set(CMAKE_RANLIB aarch64-linux-gnu-ranlib)
set(CMAKE_STRIP aarch64-linux-gnu-strip)

# Programs are linked statically: they run on systems without musl.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH /usr/lib/aarch64-linux-musl)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

# For ctest: programs run here under emulation, by Debian's qemu-user.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
