# 64-bit RISC-V with the C library musl, by Debian's cross compiler (crossbuild-essential-riscv64) and the wrapper of it in
# musl-tools:riscv64, which with musl-dev:riscv64 is unpacked by `dpkg-deb --extract`, since apt would want all that it
# depends on. cargo needs rustc's library: rustup target add riscv64gc-unknown-linux-musl. Without, it is built with
# -DIOTDA_BUILD_STD=ON.
#
#     cmake -S cmake -B build/riscv64 --toolchain $PWD/cmake/toolchains/riscv64-linux-musl.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(CMAKE_C_COMPILER riscv64-linux-musl-gcc)
# The wrapper calls itself by the name of the compiler that it wraps.
set(IOTDA_RUST_TARGET riscv64gc-unknown-linux-musl)
# Its binary tools have the other name.
set(CMAKE_AR riscv64-linux-gnu-ar)
set(CMAKE_LINKER riscv64-linux-gnu-ld)
set(CMAKE_NM riscv64-linux-gnu-nm)
set(CMAKE_OBJCOPY riscv64-linux-gnu-objcopy)
set(CMAKE_RANLIB riscv64-linux-gnu-ranlib)
set(CMAKE_STRIP riscv64-linux-gnu-strip)

# Programs are linked statically: they run on systems without musl.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH /usr/lib/riscv64-linux-musl)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

# For ctest: programs run here under emulation, by Debian's qemu-user.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-riscv64)
