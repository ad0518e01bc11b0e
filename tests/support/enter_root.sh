#!/usr/bin/env bash
# Runs a command with another Debian as its root, entered by pivot_root: Apptainer needs a root that is a mount, which a chroot is not.
# usage: enter_root.sh ROOT SHARED COMMAND [ARGUMENT ...]     SHARED is seen at its own place
root=${1:?root} shared=${2:?shared folder}
shift 2
# shellcheck disable=SC2016
exec unshare --mount --propagation private bash -c '
set -e
root=$1 shared=$2
shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root$shared" "$root/.outside"
mount --bind "$shared" "$root$shared"
cd "$root"
pivot_root . .outside
umount -l /.outside
cd /
exec "$@"' _ "$root" "$shared" "$@"
