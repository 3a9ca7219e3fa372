#!/usr/bin/env bash
# A supervisor: starts a child again each time it exits, and knows how it ended from the event itself.
#
# `proc` events come for any process, not only for children: the same works for a daemon that somebody else has started.
# The data of the event is the wait status: its second byte is what the process gave to exit.
#
# Usage: supervisor.sh DIR, where DIR is an ipcfs mount
set -euo pipefail
mount=${1:?the mount directory is missing}
cd "$mount"
child=
cleanup() {
  [[ -z $child ]] || kill "$child" 2>/dev/null || true
}
trap cleanup EXIT

exec 3<>kqueue
for attempt in 1 2 3; do
  # Stands for a service that fails twice, and then has nothing more to do. It must not keep the queue open.
  sh -c "sleep 0.1; exit $((3 - attempt))" 3>&- &
  child=$!
  echo "attempt $attempt: started"
  echo "add proc $child exit oneshot" >&3
  read -r event <&3
  case $event in
  "proc $child data="*)
    data=${event#*data=}
    status=$((${data%% *} >> 8))
    ;;
  *ESRCH*) # it was quicker than we, and is a child
    status=0
    wait "$child" || status=$?
    ;;
  *) echo "supervisor: $event" >&2; exit 1 ;;
  esac
  wait "$child" || true
  child=
  echo "attempt $attempt: exited with $status"
  [[ $status != 0 ]] || break
done
echo 'the service is done'
