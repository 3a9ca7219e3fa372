#!/usr/bin/env bash
#
# A leak hunt: who created this segment, and who still maps it?
#
#   leak-hunt.sh MOUNT [KEY]
#
# Reads MOUNT/info/shm, which has the creator of each segment, the process that used it last, and the processes that map it
# now; /proc tells their names. With KEY only that segment is looked at. Without any segment to look at it makes one, whose
# creator has gone and which a `tail -f` still has open, and finds that.
#
# A line for each segment, and one for each process that has to do with it.

set -euo pipefail

if [ $# -lt 1 ]; then
  echo "usage: $0 MOUNT [KEY]" >&2
  exit 2
fi
mount=$1
wanted=${2:-}
leaked=
holder=

clean_up() {
  if [ -n "$holder" ]; then
    kill "$holder" 2> /dev/null || true
    wait "$holder" 2> /dev/null || true
  fi
  if [ -n "$leaked" ]; then rm -f "$leaked"; fi
}
trap clean_up EXIT

# What a process is called, also when it has gone.
name_of() {
  if [ -r "/proc/$1/comm" ]; then
    cat "/proc/$1/comm"
  else
    echo '(gone)'
  fi
}

# The processes that have a file open, whatever the name that they opened it by.
openers_of() {
  local link pid
  for link in /proc/[0-9]*/fd/*; do
    if [ "$link" -ef "$1" ]; then
      pid=${link#/proc/}
      echo "${pid%%/*}"
    fi
  done | sort -un
}

if [ -z "$wanted" ] && [ "$(wc -l < "$mount/info/shm")" -le 1 ]; then
  leaked=$mount/shm/0x$(printf '%08x' $((0x5e000000 + $$)))
  bash -c 'truncate -s 1M "$1"' creator "$leaked"
  tail -f "$leaked" > /dev/null &
  holder=$!
  # It has the segment open when info/shm counts it.
  until awk 'NR > 1 && $9 > 0 { found = 1 } END { exit !found }' "$mount/info/shm"; do
    kill -0 "$holder"
  done
fi

# Columns: id key mode owner group creator cgroup size nattch cpid lpid atime dtime ctime state mapped-by
awk 'NR > 1 { print $1, $2, $8, $9, $10, $11, $15, $16 }' "$mount/info/shm" |
  while read -r id key size nattch cpid lpid state mappers; do
    if [ -n "$wanted" ] && [ $((key)) -ne $((wanted)) ]; then continue; fi
    echo "segment $id key $key: $size bytes, $state, attached $nattch times"
    echo "  created by $cpid $(name_of "$cpid")"
    echo "  last used by $lpid $(name_of "$lpid")"
    if [ "$mappers" = - ]; then
      echo '  mapped by nobody'
    else
      for pid in ${mappers//,/ }; do echo "  mapped by $pid $(name_of "$pid")"; done
    fi
    for pid in $(openers_of "$mount/shm/id/$id"); do
      echo "  open in $pid $(name_of "$pid")"
    done
  done
