#!/bin/sh
# Builds libiotda for another processor, in a Debian 13 root with the oldest Rust that is supported, or for musl; and runs
# tests of crates/libiotda/tests with it, their programs under emulation: those in C, and for musl those in C++ and Go as
# well. `cargo xtask cross` runs this:
#
#     TARGET_DIR=... CARGO=... cross.sh aarch64|armhf|musl|aarch64-musl|armv7-musl|riscv64-musl
set -eu
target=$1
repository=$(cd "$(dirname "$0")/../../.." && pwd)
root_sh=$repository/crates/xtask/roots/root.sh
zig_version=0.15.2
roots=$TARGET_DIR/roots
dir=$TARGET_DIR/cross/$target
cargo_home=${CARGO_HOME:-$HOME/.cargo}

# QEMU says the machine's memory in bytes, of which there can be more than a 32-bit program has bits for. Emulators take no
# notice of the limit of memory that a program sets itself; 32 bits are a limit.
tests="alone everything_arrives memory_is_a_machines" little_memory= emulator= sysroot= own_std= compiler=
case $target in
aarch64)
    architecture=arm64 toolchain=aarch64-linux-gnu machine=AArch64 emulator=qemu-aarch64 little_memory="-R 0x10000000"
    ;;
armhf)
    architecture=armhf toolchain=arm-linux-gnueabihf machine=ARM emulator=qemu-arm tests="alone everything_arrives"
    ;;
musl)
    toolchain=x86_64-linux-musl machine=X86-64 triple=x86_64-unknown-linux-musl compiler=musl-gcc go="amd64"
    ;;
aarch64-musl)
    architecture=arm64 toolchain=aarch64-linux-musl machine=AArch64 emulator=qemu-aarch64 little_memory="-R 0x10000000"
    triple=aarch64-unknown-linux-musl go="arm64"
    ;;
armv7-musl)
    architecture=armhf toolchain=arm-linux-musleabihf machine=ARM emulator=qemu-arm tests="alone everything_arrives"
    triple=armv7-unknown-linux-musleabihf go="arm"
    ;;
riscv64-musl)
    architecture=riscv64 toolchain=riscv64-linux-musl machine=RISC-V emulator=qemu-riscv64 little_memory="-R 0x10000000"
    triple=riscv64gc-unknown-linux-musl go="riscv64"
    ;;
*)
    echo "error: there is no target \"$target\": there are aarch64, armhf, musl, aarch64-musl, armv7-musl, riscv64-musl" >&2
    exit 1
    ;;
esac

# cargo in the root uses what this machine's has downloaded.
cd "$repository"
"$CARGO" fetch --locked --quiet
if [ -n "${triple:-}" ]; then
    root=$roots/$target compiler=${compiler:-$toolchain-gcc}
    sysroot=$(rustc --print sysroot)
    # rustup brings Rust's own library for most targets, and Debian for none with musl. Without, it is built.
    if [ ! -d "$(rustc --target "$triple" --print target-libdir)" ]; then
        [ -e "$sysroot/lib/rustlib/src/rust/library/std/Cargo.toml" ] || {
            echo "error: rustc has no library for $triple; run: rustup target add $triple" >&2
            echo "or, where that fails, so that it is built here: rustup component add rust-src" >&2
            exit 1
        }
        own_std=-DIOTDA_BUILD_STD=ON
        RUSTC_BOOTSTRAP=1 "$CARGO" fetch --locked --quiet -Z build-std --target "$triple"
    fi
    if [ "$target" = musl ]; then
        "$root_sh" make "$roots" "$target" cmake ninja-build gcc g++ libc6-dev musl-tools
    else
        # Debian's cross compiler by the wrapper of the other processor's musl-tools, with that processor's musl.
        "$root_sh" make "$roots" "$target" cmake ninja-build qemu-user "crossbuild-essential-$architecture" gcc libc6-dev \
            musl-tools
        for package in musl musl-dev musl-tools; do "$root_sh" foreign "$root" "$architecture" "$package"; done
    fi
else
    root=$roots/cross compiler=$toolchain-gcc
    "$root_sh" make "$roots" cross cargo rustc cmake ninja-build qemu-user crossbuild-essential-arm64 \
        crossbuild-essential-armhf
    "$root_sh" foreign "$root" "$architecture" libstd-rust-dev
fi

# The command that runs the one after it in the root, which sees what it needs by the same paths.
mkdir -p "$dir" "$TARGET_DIR/test"
enter() {
    set -- sh "$root_sh" enter "$root" ro "$repository" rw "$TARGET_DIR/cross" rw "$TARGET_DIR/test" rw "$cargo_home" \
        ${sysroot:+ro "$sysroot"} -- env PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
    if [ -n "${only_words:-}" ]; then printf '%s\n' "$@"; else "$@"; fi
}
build() {
    source=$1 build=$2
    shift 2
    enter cmake -G Ninja -S "$repository/$source" -B "$build" \
        --toolchain "$repository/cmake/toolchains/$toolchain.cmake" "$@" >"$dir/cmake.log" || { cat "$dir/cmake.log" && exit 1; }
    enter env -u RUSTC CARGO_HOME="$cargo_home" CARGO_NET_OFFLINE=true HOME=/root ${sysroot:+RUSTC="$sysroot/bin/rustc"} \
        cmake --build "$build"
}

# Once, with the function that makes it panic: that a panic inside is an error outside depends on the processor's tables for
# unwinding. Build scripts and macros, which run here, are the same for all targets.
build cmake "$dir/library" -DIOTDA_CARGO_FEATURES=panic-hook-for-tests "-DIOTDA_CARGO_TARGET_DIR=$TARGET_DIR/cross/cargo" \
    "-DIOTDA_CARGO=${sysroot:-/usr}/bin/cargo" $own_std
enter cmake --install "$dir/library" --prefix "$dir/installed" >"$dir/cmake.log"
build examples/c "$dir/example" "-DCMAKE_PREFIX_PATH=$dir/installed" -DCMAKE_BUILD_TYPE=Release \
    "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror"
# Not one for this machine's processor, which would run as well.
readelf -h "$dir/example/host_monitor" | grep -q "Machine:.*$machine" ||
    { echo "error: host_monitor is for another processor" >&2 && exit 1; }

# Runs a test program of crates/libiotda: the one that `cargo xtask test` has built already, or by cargo.
run_test() {
    name=$1
    shift
    eval "program=\${TEST_PROGRAM_$name:-}"
    if [ -n "$program" ]; then
        (cd "$repository/crates/libiotda" && "$program" "$@")
    else
        "$CARGO" test --locked --quiet --workspace --test "$name" -- "$@"
    fi
}

lines() { for word in "$@"; do echo "$word"; done; }
# shellcheck disable=SC2086
IOTDA_TEST_ENTER=$(only_words=1 enter) IOTDA_TEST_LITTLE_MEMORY=$(lines $little_memory)
IOTDA_TEST_EMULATOR=$(lines $emulator ${emulator:+-L "/usr/$toolchain"})
export IOTDA_TEST_ENTER IOTDA_TEST_LITTLE_MEMORY IOTDA_TEST_EMULATOR IOTDA_TEST_CC="$compiler"
export IOTDA_TEST_PROCESSOR="$target" IOTDA_TEST_PACKAGE="$dir/installed" IOTDA_TEST_HOST_MONITOR="$dir/example/host_monitor"
failed=
run() {
    run_test "$@" || failed="$failed $1"
}
# shellcheck disable=SC2086
for name in c panics host_monitor; do run "$name" $tests; done

# In C++ and Go with zig, on this machine: Debian has no C++ library for musl, and zig brings clang's. It is a compiler of its
# own, with an unwinder of its own beside the one in libiotda.
if [ -n "${triple:-}" ]; then
    zig=$TARGET_DIR/zig
    if [ "$("$zig/bin/python" -m ziglang version 2>"$dir/zig.log")" != "$zig_version" ]; then
        echo "installing zig in a Python environment ..."
        { python3 -m venv "$zig" && "$zig/bin/pip" install --quiet --disable-pip-version-check "ziglang==$zig_version"; } ||
            { echo "error: zig cannot be had, by which the C++ and Go programs are built" >&2 && exit 1; }
    fi
    export ZIG_GLOBAL_CACHE_DIR="$zig/cache" ZIG_LOCAL_CACHE_DIR="$zig/cache"
    IOTDA_TEST_CXX=$(lines "$zig/bin/python" -m ziglang c++ -target "$toolchain" -static -Wno-unused-command-line-argument)
    export IOTDA_TEST_CXX IOTDA_TEST_GOARCH="$go" IOTDA_TEST_GO_CC="$zig/bin/python -m ziglang cc -target $toolchain"
    run cpp by_clang_with_libcxx
    run go tests::linked_static
fi
size() { stat --format %s "$1"; }
cp "$dir/example/host_monitor" "$dir/stripped"
enter "$([ "$target" = musl ] || echo "$toolchain-" | sed s/musl/gnu/)strip" "$dir/stripped"
echo "host_monitor, linked statically: $(size "$dir/example/host_monitor") bytes, $(size "$dir/stripped") stripped"
[ -z "$failed" ] || { echo "error: these tests failed:$failed" >&2 && exit 1; }
