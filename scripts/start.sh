#!/usr/bin/env bash
# Builds ipcfs and mounts it on DIR (default: ./mnt). Ctrl-C unmounts.
# Usage: scripts/start.sh [DIR] [OPTION OF ipcfs mount]...
set -euo pipefail
directory="$(realpath -m -- "${1:-mnt}")"
[ $# -eq 0 ] || shift
cd "$(dirname "$0")/.."
source scripts/prepare.sh
# What cannot be made is reported by the mount.
[ -e "$directory" ] || mkdir -p -- "$directory" 2>/dev/null || true
# Said once the mount answers, and not at all when it does not come up: this shell becomes its server.
(
  until ls -- "$directory/info" >/dev/null 2>&1; do
    kill -0 $$ 2>/dev/null || exit 0
    sleep 0.1
  done
  echo "ipcfs on $directory: try 'ls $directory' in another shell; Ctrl-C unmounts"
) &
exec node dist/src/cli/main.js mount --foreground "$@" -- "$directory"
