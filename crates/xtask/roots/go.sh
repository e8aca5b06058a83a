#!/bin/sh
# Gets the Go module on a Debian 13 that has Go and a C compiler, and nothing else: two commands from nothing to a program,
# which then reports to a stand-in platform outside of the root. If `cargo xtask dist` has made the .tar.gz too, the program
# is also built with the libraries in that. It takes what `cargo xtask dist go` has made:
#
#     TARGET_DIR=target crates/xtask/roots/go.sh
set -eu
repository=$(cd "$(dirname "$0")/../../.." && pwd)
root_sh=$repository/crates/xtask/roots/root.sh
target=$(cd "$TARGET_DIR" && pwd)
root=$target/roots/go proxy=$target/dist/go-proxy stand=$target/roots/stand
platform=${IOTDA_PLATFORM:-$target/debug/iotda-platform}
module=github.com/libiotda/libiotda/bindings/go/iotda
[ -d "$proxy" ] || { echo "error: run first: cargo xtask dist go" >&2 && exit 1; }
[ -x "$platform" ] || { echo "error: run first: cargo build -p iotda-platform" >&2 && exit 1; }
"$root_sh" make "$target/roots" golang ca-certificates gcc golang-go libc6-dev
rm -rf "$root" "$stand"
cp -a --reflink=auto "$target/roots/golang" "$root"
mkdir -p "$stand" "$root/srv/device"
cp "$repository/bindings/go/iotda/hello/main.go" "$root/srv/device"

# No database of checksums knows a module that is not published.
enter() {
    sh "$root_sh" enter "$root" ro "$proxy" ro "$stand" -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "GOPROXY=file://$proxy,off" GONOSUMDB=github.com/libiotda/libiotda "$@"
}

# It ends with its standard input, which this script holds open as 3.
mkfifo "$stand/input"
"$platform" --quiet --exit-with-stdin --ca-out "$stand/ca.pem" --device hello=secret-of-hello \
    <"$stand/input" >"$stand/says" &
exec 3>"$stand/input"
until grep -q '^ready' "$stand/says"; do
    kill -0 $! || { echo "error: $platform has ended" >&2 && exit 1; }
    sleep 0.1
done
says() { sed -n "s/^$1=//p" "$stand/says"; }

reports() {
    echo "a program with $1 ..."
    shift
    enter "IOTDA_ENDPOINT=$(says IOTDA_ENDPOINT)" "IOTDA_CA_FILE=$stand/ca.pem" IOTDA_DEVICE_ID=hello \
        IOTDA_DEVICE_SECRET=secret-of-hello "$@" /srv/device/device
}
in_device() { enter sh -euc 'cd /srv/device && exec "$@"' sh "$@"; }

in_device go mod init example.com/device
in_device go get "$module"
in_device go build
reports "Go and a C compiler alone"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$repository/Cargo.toml")
archive=$(ls "$target/dist/libiotda-$version"-*-linux-*.tar.gz 2>/dev/null || true)
if [ -n "$archive" ]; then
    prefix=/opt/$(basename "$archive" .tar.gz)
    tar -xzf "$archive" -C "$root/opt" --no-same-owner
    enter sh -euc 'apt-get update -qq && apt-get install -qq --yes --no-install-recommends pkgconf'
    for tag in iotda_static iotda_system; do
        in_device env "PKG_CONFIG_PATH=$prefix/lib/pkgconfig" go build -tags "$tag"
        reports "the tag $tag" "LD_LIBRARY_PATH=$prefix/lib"
    done
fi
exec 3>&-
wait
rm -rf "$root" "$stand"
