#!/usr/bin/env bash
# A debounced rebuild: runs a command once after a burst of changes in a directory, when it has been quiet for 200 ms.
#
# Every change takes the running timer away and starts another: only the last one of a burst gets to fire. A timer that was
# added again without being deleted would keep its old deadline.
#
# Usage: debounced-rebuild.sh DIR, where DIR is an ipcfs mount
set -euo pipefail
mount=${1:?the mount directory is missing}
source=pipes/source.$$
cd "$mount"
cleanup() {
  rm -rf "$source"
}
trap cleanup EXIT

mkdir "$source"
exec 3<>kqueue
echo "add vnode $source write clear" >&3

burst() {
  touch "$source/$1-a" "$source/$1-b"
  touch "$source/$1-c"
  touch "$source/$1-d" "$source/$1-e"
}

rebuild() {
  local files=("$source"/*)
  echo "rebuild $1: ${#files[@]} files"
}

rebuilds=0
isArmed=false
burst first
while read -r event <&3; do
  case $event in
  vnode*)
    # Both in one write: nothing happens between them.
    if $isArmed; then
      printf '%s\n' 'delete timer 1' 'add timer 1 data=200ms oneshot' >&3
    else
      echo 'add timer 1 data=200ms oneshot' >&3
    fi
    isArmed=true
    ;;
  timer*)
    isArmed=false
    rebuilds=$((rebuilds + 1))
    rebuild "$rebuilds"
    ((rebuilds < 2)) || break
    burst second
    ;;
  *) echo "debounced-rebuild: $event" >&2; exit 1 ;;
  esac
done
echo "two bursts, $rebuilds rebuilds"
