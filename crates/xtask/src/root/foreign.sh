# Unpacks a package for another processor, in the root where this runs:
#
#     sh foreign.sh RELEASE ARCHITECTURE PACKAGE VERSION
#
# It is not installed: dpkg would demand that what it depends on is there for that processor too, in the same versions
# as for this one.
set -e
release=$1 architecture=$2 package=$3 version=$4
note=/var/lib/unpacked-$package-$architecture
[ "$(cat "$note" 2>&1)" != "$version" ] || exit 0
mirror=$(sed -n "s/^deb \(.*\) $release main.*/\1/p" /etc/apt/sources.list)
# Lists of their own, so that the system's stay as they are.
dir=/var/tmp/$architecture
mkdir -p "$dir/lists/partial"
cd "$dir"
apt() {
    apt-get -qq -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" \
        -o "Dir::State::lists=$dir/lists" -o Dir::State::status=/dev/null \
        -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null "$@"
}
# While a mirror is being renewed, what it has for a processor may fit the release under its other name only.
for suite in "$release" stable; do
    echo "deb [arch=$architecture] $mirror $suite main" >sources.list
    if apt update && apt download "$package=$version"; then
        dpkg-deb --extract "${package}"_*.deb /
        rm -r "$dir"
        echo "$version" >"$note"
        exit 0
    fi
done
exit 1
