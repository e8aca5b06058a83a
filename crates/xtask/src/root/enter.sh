# Runs a program in a Debian root, for crates/xtask/src/root.rs, which has made mount and process namespaces for it:
#
#     sh enter.sh ROOT [OPTIONS DIRECTORY]... -- PROGRAM [ARGUMENT]...
#
# A directory is seen in the root under its own name, with the given mount options.
set -e
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
# Not by exec: this shell stays as process 1, which is no place for a program. A signal would not end it there.
chroot "$root" "$@"
