#!/bin/sh
# Debian 13 systems in directories of their own, made with debootstrap, for what must hold there and not only on this
# machine: old compilers, other processors, packages on a system where nothing else is installed.
#
#     root.sh make ROOTS NAME PACKAGE...       makes ROOTS/NAME with these packages and nothing that they do not need
#     root.sh foreign ROOT ARCHITECTURE PACKAGE    unpacks a package for another processor
#     root.sh enter ROOT [OPTIONS DIRECTORY]... -- PROGRAM [ARGUMENT]...
#                                              runs a program; it sees the directories, mounted with these options
set -eu
release=trixie

# In mount and process namespaces of its own: whatever happens, no mount is left behind and no process.
if [ -z "${IN_NAMESPACES:-}" ]; then
    export IN_NAMESPACES=1
    exec unshare --mount --propagation private --pid --fork --kill-child sh "$0" "$@"
fi

# What cannot be had on this machine is a reason to leave a test out.
unavailable() {
    echo "error: no Debian 13 root can be made here: $1" >&2
    exit 77
}

enter() {
    root=$1
    shift
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
    mount --bind -o ro /sys "$root/sys"
    while [ "$1" != -- ]; do
        mkdir -p "$root$2"
        mount --bind -o "$1" "$2" "$root$2"
        shift 2
    done
    shift
    # What runs there may make roots of its own.
    unset IN_NAMESPACES
    # Not by exec: this shell stays as process 1, which is no place for a program. A signal would not end it there.
    chroot "$root" "$@"
}

# The mirror of Debian that this machine's apt has, which it knows once it has a list of it. None on a machine without
# apt: debootstrap knows one.
mirror() {
    ask() {
        apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>&1 |
            sed -n 's/^Debian Debian //p' | head -n 1
    }
    found=$(ask)
    [ -n "$found" ] || { apt-get -qq update >&2 && found=$(ask); } || true
    echo "$found"
}

# The smallest Debian, as a .tar file.
base() {
    rm -rf "$1/base"
    # shellcheck disable=SC2046
    debootstrap --variant=minbase "$release" "$1/base" $(mirror) || unavailable "debootstrap failed"
    # What apt must know to get at the mirror, a proxy for example, it knows in there too.
    apt-config dump --format '%f "%v";%n' Acquire >"$1/base/etc/apt/apt.conf.d/80machine" || true
    for file in etc/resolv.conf etc/hosts etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "/$file" ] || { mkdir -p "$(dirname "$1/base/$file")" && cp "/$file" "$1/base/$file"; }
    done
    # Nothing here outlives a loss of power anyhow.
    echo force-unsafe-io >"$1/base/etc/dpkg/dpkg.cfg.d/80fast"
    tar -cf "$1/base.unfinished" -C "$1/base" .
    mv "$1/base.unfinished" "$1/base.tar"
    rm -rf "$1/base"
}

make() {
    roots=$1 dir=$1/$2 note=$1/$2.packages
    shift 2
    mkdir -p "$roots/rights"
    [ "$(id -u)" = 0 ] || unavailable "only root may, who runs chroot and mount"
    mount -t proc proc "$roots/rights" || unavailable "mounting is not allowed"
    # Not there while the directory is unfinished.
    [ "$(cat "$note" 2>&1)" != "$*" ] || return 0
    rm -rf "$note" "$dir"
    [ -e "$roots/base.tar" ] || { echo "making a Debian 13 root with debootstrap ..." && base "$roots"; }
    echo "installing in a Debian 13 root: $* ..."
    mkdir "$dir"
    tar -xf "$roots/base.tar" -C "$dir"
    export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
    enter "$dir" -- sh -euc 'apt-get update -qq && apt-get install -qq --yes --no-install-recommends "$@"' sh "$@" ||
        unavailable "apt-get failed in it"
    echo "$*" >"$note"
}

# It is not installed: dpkg would demand that what it depends on is there for that processor too, in the same versions as
# for this one.
foreign() {
    root=$1 architecture=$2 package=$3
    version=$(chroot "$root" dpkg-query --showformat '${Version}' --show "$package")
    note=$root/var/lib/unpacked-$package-$architecture
    [ "$(cat "$note" 2>&1)" != "$version" ] || return 0
    mirror=$(sed -n "s/^deb \(.*\) $release main.*/\1/p" "$root/etc/apt/sources.list")
    # Lists of their own, so that the system's stay as they are. While a mirror is being renewed, what it has for a
    # processor may fit the release under its other name only.
    for suite in "$release" stable; do
        enter "$root" -- sh -eu -s "$architecture" "$package" "$version" "$mirror" "$suite" <<'END' && echo "$version" >"$note" && return 0
mkdir -p "/var/tmp/$1/lists/partial"
cd "/var/tmp/$1"
echo "deb [arch=$1] $4 $5 main" >sources.list
apt() {
    apt-get -qq -o "APT::Architecture=$1" -o "APT::Architectures::=$1" -o "Dir::State::lists=$PWD/lists" \
        -o Dir::State::status=/dev/null -o "Dir::Etc::sourcelist=$PWD/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        "$2" ${3:+"$3"}
}
apt "$1" update
apt "$1" download "$2=$3"
dpkg-deb --extract "$2"_*.deb /
rm -r "/var/tmp/$1"
END
    done
    unavailable "$package $version for $architecture is not to be had"
}

"$@"
