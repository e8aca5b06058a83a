#!/bin/sh
# Builds libcurl with HTTP and TLS alone, as a static library, of Debian's source package: no package has one.
#
#     curl.sh DIRECTORY OpenSSL|mbedTLS
#
# It is then in DIRECTORY/OpenSSL or DIRECTORY/mbedTLS. A mirror that has not caught up with Debian's last changes has the
# original of the same version, which then does without them.
set -eu
dir=$1 tls=$2
[ ! -e "$dir/$tls/lib/libcurl.a" ] || exit 0
mkdir -p "$dir/lists/partial" "$dir/archives/partial"
cd "$dir"
if [ ! -d source ]; then
    # The machine's own lists are not touched.
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    signed=$([ ! -e $keyring ] || echo "[signed-by=$keyring] ")
    apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        sed -n "s|^\(.*debian.*\) main\$|deb-src $signed\1 main|p" >sources.list
    apt() {
        apt-get -qq -o Dir::Etc::SourceParts=/dev/null -o "Dir::Etc::SourceList=$dir/sources.list" \
            -o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir" -o APT::Sandbox::User=root "$@"
    }
    apt update
    apt source --download-only curl || ls curl_*.orig.tar.?z
    rm -rf unpacking
    mkdir unpacking
    tar -xf curl_*.orig.tar.?z -C unpacking --strip-components=1
    if [ -e "$(echo curl_*.debian.tar.xz)" ]; then
        tar -xf curl_*.debian.tar.xz -C unpacking
        grep -v '^#' unpacking/debian/patches/series | while read -r patch; do
            [ -z "$patch" ] || patch -d unpacking -p1 --quiet --force -i "debian/patches/$patch"
        done
    fi
    mv unpacking source
fi
set -- -S source -B "build-$tls" -G Ninja -DCMAKE_BUILD_TYPE=Release "-DCMAKE_INSTALL_PREFIX=$dir/$tls" \
    -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_SHARED_LIBS=OFF -DBUILD_STATIC_LIBS=ON -DBUILD_CURL_EXE=OFF \
    -DBUILD_TESTING=OFF -DHTTP_ONLY=ON -DCURL_DISABLE_VERBOSE_STRINGS=ON
for absent in CURL_ZLIB CURL_BROTLI CURL_ZSTD USE_NGHTTP2 CURL_USE_LIBSSH2 CURL_USE_LIBPSL USE_LIBIDN2 \
    CURL_USE_GSSAPI CURL_USE_OPENSSL CURL_USE_MBEDTLS ENABLE_MANUAL BUILD_LIBCURL_DOCS BUILD_MISC_DOCS \
    ENABLE_CURL_MANUAL; do
    set -- "$@" "-D$absent=OFF"
done
# Of two the last is taken.
cmake "$@" "-DCURL_USE_$(echo "$tls" | tr '[:lower:]' '[:upper:]')=ON"
cmake --build "build-$tls" --target install
