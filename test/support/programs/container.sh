#!/bin/bash
# In place of `docker run OPTIONS IMAGE COMMAND...`: runs the command on this machine with the capabilities, devices and process numbers
# that a container would have. The image is not looked at. A program `unshare` plays the part of Docker's seccomp filter.
set -eu
capabilities=+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,+audit_write
filter=yes device=
shift
while [[ "$1" = --* ]]; do
  case "$1 $2" in
    '--device '*) device=$2; shift ;;
    '--cap-add '*) capabilities+=,+${2,,}; shift ;;
    '--security-opt seccomp=unconfined') filter=; shift ;;
    '--security-opt '*) shift ;;
  esac
  shift
done
shift
programs=$(dirname "$0")
export device programs capabilities filter
exec unshare --mount --pid --fork --mount-proc --kill-child bash -euc '
  mount -t tmpfs -o mode=755 none "$programs/dev"
  mknod -m 666 "$programs/dev/null" c 1 3
  [ -z "$device" ] || mknod -m 666 "$programs/dev/fuse" c 10 229
  mount --bind "$programs/dev" /dev
  if [ -n "$filter" ]; then PATH=$programs/filtered:$PATH; fi
  exec setpriv --bounding-set "-all,$capabilities" --inh-caps -all -- "$@"' docker "$@"
