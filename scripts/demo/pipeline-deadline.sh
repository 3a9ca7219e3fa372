#!/usr/bin/env bash
# A pipeline with a deadline: waits for its first output or for a timer, whichever comes first.
#
# One read waits for both. Unlike with timeout(1), the pipeline may go on for as long as it likes once it has begun to answer.
#
# Usage: pipeline-deadline.sh DIR, where DIR is an ipcfs mount
set -euo pipefail
mount=${1:?the mount directory is missing}
answer=pipes/answer.$$
cd "$mount"
pipeline=
cleanup() {
  [[ -z $pipeline ]] || kill -- "-$pipeline" 2>/dev/null || true
  rm -f "$answer"
}
trap cleanup EXIT
# Each pipeline gets a process group of its own, so that all of it can be ended.
set -m

mkfifo "$answer"
# Held open for both: the pipeline can open it at once, and what it wrote stays when it has ended.
exec 4<>"$answer"

# run NAME MILLISECONDS COMMAND
run() {
  bash -c "$3" >"$answer" 4>&- &
  pipeline=$!
  exec 3<>kqueue
  printf '%s\n' "add read $answer oneshot" "add timer 1 data=$2ms oneshot" >&3
  local event line
  read -r event <&3
  exec 3>&- # takes the other registration with it
  case $event in
  read*)
    read -r line <&4
    echo "$1: $line"
    ;;
  timer*)
    kill -- "-$pipeline"
    echo "$1: no answer within $2 ms"
    ;;
  *) echo "pipeline-deadline: $event" >&2; exit 1 ;;
  esac
  wait "$pipeline" 2>/dev/null || true # bash says there how it ended
  pipeline=
}

run quick 5000 'seq 1 100 | sort -rn | head -n 1'
run slow 200 'sleep 60 | sort'
