#!/usr/bin/env bash
# Builds ipcfs and mounts it on DIR (default: ./mnt). Ctrl-C unmounts.
# Usage: scripts/start.sh [DIR] [OPTION OF ipcfs mount]...
set -euo pipefail
directory="$(realpath -m -- "${1:-mnt}")"
[ $# -eq 0 ] || shift
cd "$(dirname "$0")/.."
# Two lines of the kernel's table: the directory is a mount point of ipcfs already. Its path has blanks as \040 there.
escaped="${directory//\\/\\134}"
if grep -q -F -- " ${escaped// /\\040} fuse.ipcfs " /proc/self/mounts 2>/dev/null; then
  echo "ipcfs: $directory is mounted already: run 'dist/src/cli/main.js umount $directory' first, or choose another directory" >&2
  exit 1
fi
source scripts/prepare.sh
# The mount reports a directory that cannot be created.
[ -e "$directory" ] || mkdir -p -- "$directory" 2>/dev/null || true
# Says so once the mount answers, and nothing when it does not come up: this shell becomes its server.
(
  until ls -- "$directory/info" >/dev/null 2>&1; do
    kill -0 $$ 2>/dev/null || exit 0
    sleep 0.1
  done
  echo "ipcfs on $directory: try 'ls $directory' in another shell; Ctrl-C unmounts"
) &
exec node dist/src/cli/main.js mount --foreground "$@" -- "$directory"
