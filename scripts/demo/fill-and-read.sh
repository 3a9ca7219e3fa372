#!/usr/bin/env bash
#
# A segment of shared memory is filled by dd and read by od, as if it were a file.
#
#   fill-and-read.sh MOUNT
#
# It shows that the size is fixed once the segment is made, that a part of it can be written in place, and what happens at
# its end.

set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 MOUNT" >&2
  exit 2
fi
mount=$1
key=0x$(printf '%08x' $((0x5d000000 + $$)))
segment=$mount/shm/$key

clean_up() {
  rm -f "$segment"
}
trap clean_up EXIT

echo '-- a segment of 64 KiB, all zeros'
truncate -s 64K "$segment"
stat -c '%s bytes, mode %a' "$segment"
od -A d -t x1 -N 64 "$segment"

echo '-- 32 bytes of it filled by dd, from byte 16 on'
printf 'shared memory looks like a file.' |
  dd of="$segment" bs=16 seek=1 conv=notrunc iflag=fullblock status=none
od -A d -c -j 16 -N 32 "$segment"

echo '-- all of it filled by dd'
head -c 64K /dev/zero | tr '\0' x | dd of="$segment" bs=4096 count=16 iflag=fullblock conv=notrunc status=none
od -A d -c "$segment"

echo '-- it has 65536 bytes and gets no more'
if printf 'more' | dd of="$segment" bs=1 seek=65536 conv=notrunc status=none 2> /dev/null; then
  echo 'a write beyond the end succeeded' >&2
  exit 1
fi
stat -c '%s bytes' "$segment"
