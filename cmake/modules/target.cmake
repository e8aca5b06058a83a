# IOTDA_RUST_TARGET: what rustc calls the machine that the C compiler compiles for.

if(NOT IOTDA_RUST_TARGET)
  # The compiler's own word for it, such as arm-linux-gnueabihf or aarch64-openwrt-linux-musl. clang is given it.
  if(CMAKE_C_COMPILER_TARGET)
    set(_machine "${CMAKE_C_COMPILER_TARGET}")
  else()
    execute_process(COMMAND "${CMAKE_C_COMPILER}" -dumpmachine OUTPUT_VARIABLE _machine
      OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  endif()
  string(REGEX MATCH "^[^-]+" _processor "${_machine}")
  if(_machine MATCHES "musl")
    set(_libc musl)
  else()
    set(_libc gnu)
  endif()
  if(_processor MATCHES "^(x86_64|aarch64)$")
    set(_found "${_processor}-unknown-linux-${_libc}")
  elseif(_processor MATCHES "^i[3-6]86$")
    set(_found "i686-unknown-linux-${_libc}")
  elseif(_processor MATCHES "^arm" AND _machine MATCHES "eabihf$")
    # Debian's armhf and nearly all boards are ARMv7; for an ARMv6 give IOTDA_RUST_TARGET.
    set(_found "armv7-unknown-linux-${_libc}eabihf")
  elseif(_processor MATCHES "^arm" AND _machine MATCHES "eabi$")
    set(_found "armv5te-unknown-linux-${_libc}eabi")
  elseif(_processor STREQUAL "riscv64")
    set(_found "riscv64gc-unknown-linux-${_libc}")
  else()
    message(FATAL_ERROR "The C compiler compiles for \"${_machine}\", for which libiotda does not know the name "
      "that rustc has. Give it in IOTDA_RUST_TARGET; `rustc --print target-list` shows the names.")
  endif()
  set(IOTDA_RUST_TARGET "${_found}" CACHE STRING "The target triple for rustc")
endif()

# What the library needs of the system. rustc's own list (--print native-static-libs) names libgcc_s as well, for
# the unwinder: compilers link one by themselves, and another one (libgcc_eh) with -static.
if(IOTDA_RUST_TARGET MATCHES "musl")
  # The unwinder that object.cmake takes in finds its tables through this header, which some compilers leave out of
  # static programs.
  set(IOTDA_NATIVE_LIBRARIES -Wl,--eh-frame-hdr -lc)
else()
  set(IOTDA_NATIVE_LIBRARIES -lutil -lrt -lpthread -lm -ldl -lc)
endif()
