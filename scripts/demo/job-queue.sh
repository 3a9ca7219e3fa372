#!/usr/bin/env bash
# A job queue: several workers share one pipe of jobs through one named queue, without a lock and without polling.
#
# `dispatch` hands an event to one worker and then keeps still. That worker alone takes a line from the pipe, lets the next
# worker in with `enable`, and does its work meanwhile. When the pipe is empty and has no writer left, the event says `eof`.
#
# Usage: job-queue.sh DIR, where DIR is an ipcfs mount
set -euo pipefail
mount=${1:?the mount directory is missing}
jobs=pipes/jobs.$$
queue=kqueues/workers.$$
cd "$mount"
cleanup() {
  kill $(jobs -p) 2>/dev/null || true
  rm -f "$jobs" "$queue"
}
trap cleanup EXIT

mkfifo "$jobs"
touch "$queue"

worker() {
  exec 4<>"$queue"
  local event job
  while read -r event <&4; do
    case $event in
    error*) echo "worker $1: $event" >&2; exit 1 ;;
    *' data=0 '*eof*) echo "enable read $jobs" >&4; return ;; # the next worker shall see the end too
    esac
    read -r job <&6
    echo "enable read $jobs" >&4
    echo "worker $1: job $job gives $((job * job))"
  done
}

# The writing end is ours alone, so that closing it is the end of the jobs; the reading end is inherited.
exec 5<>"$jobs" 6<"$jobs"
exec 4<>"$queue"
echo "add read $jobs dispatch" >&4
exec 4>&-
for number in 1 2 3; do
  worker "$number" 5>&- &
done
for job in {1..12}; do
  echo "$job" >&5
done
exec 5>&-
wait
echo 'all jobs are done'
