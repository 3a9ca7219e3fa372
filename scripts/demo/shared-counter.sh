#!/usr/bin/env bash
#
# Two processes share a counter in a segment of shared memory.
#
#   shared-counter.sh MOUNT [ROUNDS]
#
# Each process reads the number that is in the segment, adds one and stores it, ROUNDS times. They take turns by a token
# that they pass through a named pipe of the same mount, so no step is lost: the counter ends at twice ROUNDS. Then the
# segment is removed while a third reader still has it open, and that reader goes on seeing it.

set -euo pipefail

if [ $# -lt 1 ]; then
  echo "usage: $0 MOUNT [ROUNDS]" >&2
  exit 2
fi
mount=$1
rounds=${2:-100}
key=0x$(printf '%08x' $((0x5c000000 + $$)))
segment=$mount/shm/$key
token=$mount/pipes/counter-$$

clean_up() {
  rm -f "$segment" "$token"
}
trap clean_up EXIT

# A number of ten characters: the first size that is written is the segment's for good.
printf '%010d' 0 > "$segment"
mkfifo "$token"

count() {
  local value
  # Opened once: this process stays attached for all its rounds.
  exec 4<> "$segment" 3<> "$token"
  for ((round = 0; round < rounds; round++)); do
    read -r -n 1 _ <&3
    value=$(head -c 10 "$segment")
    printf '%010d' $((10#$value + 1)) | dd of="$segment" conv=notrunc status=none
    printf 't' >&3
  done
}

# Held open, so that the token is never lost between two turns.
exec 3<> "$token"
count &
first=$!
count &
second=$!
printf 't' >&3
wait "$first" "$second"
echo "two processes counted to $((10#$(head -c 10 "$segment")))"

exec 5< "$segment"
rm "$segment"
[ ! -e "$segment" ]
echo "removed, and who has it open still reads $((10#$(head -c 10 <&5)))"
