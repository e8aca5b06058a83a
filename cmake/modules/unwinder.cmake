# Part of object.cmake: the unwinder that the library takes in where the C library is musl. That of a compiler for glibc,
# which Debian's wrappers for musl call, does not fit. It is LLVM's libunwind: rustc comes with it beside its own library for
# a target; where that library is built as well, so is the unwinder, of the source that is beside Rust's.
#
# find_unwinder(variable) sets the variable to the files to link. It uses what object.cmake has set, and its run().

# The options with which Rust's makers build it, for size, and each function in a section of its own.
set(UNWINDER_OPTIONS -Os -fPIC -fstrict-aliasing -funwind-tables -fvisibility=hidden -ffunction-sections -fdata-sections
  -D_LIBUNWIND_IS_NATIVE_ONLY -D_LIBUNWIND_DISABLE_VISIBILITY_ANNOTATIONS -DNDEBUG)

function(find_unwinder variable)
  set(${variable} "" PARENT_SCOPE)
  if(NOT RUST_TARGET MATCHES "musl")
    return()
  endif()
  if(BUILD_STD)
    build_unwinder(files)
    set(${variable} ${files} PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND "${rustc}" --print target-libdir --target "${RUST_TARGET}" OUTPUT_VARIABLE libdir
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY WORKING_DIRECTORY "${SOURCE_DIR}")
  if(EXISTS "${libdir}/self-contained/libunwind.a")
    set(${variable} "${libdir}/self-contained/libunwind.a" PARENT_SCOPE)
  endif()
endfunction()

function(build_unwinder variable)
  set(source "${sysroot}/lib/rustlib/src/rust/src/llvm-project/libunwind")
  if(NOT EXISTS "${source}/src/libunwind.cpp")
    message(FATAL_ERROR "IOTDA_BUILD_STD for musl needs the source of LLVM's libunwind, which is not in ${source}. "
      "It comes with rustup's rust-src; Debian's package of that name has it not.")
  endif()
  set(work "${CARGO_TARGET_DIR}/${RUST_TARGET}/unwinder")
  file(MAKE_DIRECTORY "${work}")
  separate_arguments(flags UNIX_COMMAND "$ENV{CFLAGS_${name}}")
  set(files "")
  foreach(file libunwind.cpp Unwind-EHABI.cpp UnwindLevel1.c UnwindLevel1-gcc-ext.c UnwindRegistersRestore.S
      UnwindRegistersSave.S)
    set(options ${UNWINDER_OPTIONS})
    if(file MATCHES "cpp$")
      # Nothing of a C++ library: it can be built before there is one.
      list(APPEND options -std=c++17 -fno-exceptions -fno-rtti -nostdinc++)
    endif()
    execute_process(COMMAND "${CC}" ${flags} ${options} "-ffile-prefix-map=${sysroot}=/rust" -I "${source}/include"
      -c "${source}/src/${file}" -o "${work}/${file}.o" RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
      message(FATAL_ERROR "${CC} did not compile ${file} of LLVM's libunwind, which IOTDA_BUILD_STD needs for musl. "
        "It takes the C++ compiler that belongs to it, on Debian of the package g++ or crossbuild-essential.")
    endif()
    list(APPEND files "${work}/${file}.o")
  endforeach()
  set(${variable} ${files} PARENT_SCOPE)
endfunction()
