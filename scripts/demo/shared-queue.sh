#!/usr/bin/env bash
# Two shells that know nothing of each other share a kqueue by its name in kqueues/.
#
# The second shell registers events and is gone; the queue and what is registered stay, and the first shell collects them.
# Wherever else there is a kqueue, it belongs to one process.
#
# Usage: shared-queue.sh DIR, where DIR is an ipcfs mount
set -euo pipefail
mount=${1:?the mount directory is missing}
export queue=kqueues/shared.$$
cd "$mount"
first=
cleanup() {
  [[ -z $first ]] || kill "$first" 2>/dev/null || true
  rm -f "$queue"
}
trap cleanup EXIT

touch "$queue"

setsid bash -c '
  exec 3<>"$queue"
  while read -r event <&3; do
    echo "first shell: $event"
    [[ $event != timer* ]] || break
  done
' &
first=$!

setsid bash -c '
  exec 3<>"$queue"
  echo "add user 7 clear udata=from-second" >&3
  echo "modify user 7 trigger ffcopy=0x2a" >&3
  echo "add timer 1 data=100ms oneshot udata=from-second" >&3
'
echo 'second shell: gone'
wait "$first"
first=
echo "left in the queue: $(stat -c %s "$queue")"
