#!/bin/sh
# Installs the packages to hand out on a Debian 13 that has a C compiler, CMake and make, and nothing else: the .tar.gz
# unpacked, Debian's installed; and builds examples/c with each by the commands that README.md gives. The program is run
# against a platform outside of the root. `cargo xtask debian` runs this:
#
#     TARGET_DIR=... CARGO=... debian.sh
set -eu
repository=$(cd "$(dirname "$0")/../../.." && pwd)
root_sh=$repository/crates/xtask/roots/root.sh
root=$TARGET_DIR/roots/debian
"$root_sh" make "$TARGET_DIR/roots" plain cmake gcc libc6-dev make
rm -rf "$root"
cp -a --reflink=auto "$TARGET_DIR/roots/plain" "$root"
cp -R "$repository/examples/c" "$root/srv/example"
mkdir -p "$TARGET_DIR/test"

enter() {
    set -- sh "$root_sh" enter "$root" rw "$TARGET_DIR/test" -- \
        env PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
    if [ -n "${only_words:-}" ]; then printf '%s\n' "$@"; else "$@"; fi
}
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
example() {
    for linkage in static shared; do
        echo "examples/c, $linkage $* ..."
        enter sh -euc 'cd /srv/example && rm -rf build && cmake -B build "$@" && cmake --build build' sh \
            "-DIOTDA_LINKAGE=$linkage" "$@"
        needed=$(enter objdump -p /srv/example/build/host_monitor | grep -c 'NEEDED.*libiotda.so.1' || true)
        [ "$linkage $needed" = "static 0" ] || [ "$linkage $needed" = "shared 1" ] ||
            { echo "error: host_monitor is not linked $linkage" >&2 && exit 1; }
        IOTDA_TEST_ENTER=$(only_words=1 enter)
        export IOTDA_TEST_ENTER IOTDA_TEST_PROCESSOR=debian IOTDA_TEST_HOST_MONITOR=/srv/example/build/host_monitor
        run_test host_monitor
    done
}

# First the archive, since what is installed below /usr would be found without being asked for.
cd "$repository"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
archive=$(ls "$TARGET_DIR/dist/libiotda-$version"-*-linux-*.tar.gz)
tar -xzf "$archive" -C "$root/opt" --no-same-owner
example "-DCMAKE_PREFIX_PATH=/opt/$(basename "$archive" .tar.gz)"
cp "$TARGET_DIR"/dist/*_"$version"_*.deb "$root/var/tmp"
enter sh -euc 'apt-get update -qq && apt-get install -qq --yes --no-install-recommends /var/tmp/*.deb'
example
# Last, since it brings a hundred packages.
enter sh -euc 'apt-get install -qq --yes --no-install-recommends lintian && lintian --allow-root --no-cfg --fail-on error,warning /var/tmp/*.deb'
rm -rf "$root"
