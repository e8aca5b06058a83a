# 32-bit ARM (ARMv7 with floating point) with the C library musl, by Debian's cross compiler (crossbuild-essential-armhf) and
# the wrapper of it in musl-tools:armhf, which with musl-dev:armhf is unpacked by `dpkg-deb --extract`, since apt would want
# all that it depends on. cargo needs rustc's library: rustup target add armv7-unknown-linux-musleabihf. Without, it is built
# with -DIOTDA_BUILD_STD=ON.
#
#     cmake -S cmake -B build/arm --toolchain $PWD/cmake/toolchains/arm-linux-musleabihf.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(CMAKE_C_COMPILER arm-linux-musleabihf-gcc)
# The wrapper calls itself by the name of the compiler that it wraps.
set(IOTDA_RUST_TARGET armv7-unknown-linux-musleabihf)
# Its binary tools have the other name.
set(CMAKE_AR arm-linux-gnueabihf-ar)
set(CMAKE_LINKER arm-linux-gnueabihf-ld)
set(CMAKE_NM arm-linux-gnueabihf-nm)
set(CMAKE_OBJCOPY arm-linux-gnueabihf-objcopy)
set(CMAKE_RANLIB arm-linux-gnueabihf-ranlib)
set(CMAKE_STRIP arm-linux-gnueabihf-strip)

# Programs are linked statically: they run on systems without musl.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH /usr/lib/arm-linux-musleabihf)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

# For ctest: programs run here under emulation, by Debian's qemu-user.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-arm)
