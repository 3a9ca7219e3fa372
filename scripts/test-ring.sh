#!/usr/bin/env bash
# Runs mount tests with requests that come through an io_uring: those that are named, or a few. Has the kernel offer the ring meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
parameter=/sys/module/fuse/parameters/enable_uring
report=.cache/test-ring-report.json
rm -f "$report"
if ! before=$(cat "$parameter" 2>/dev/null) || ! echo "$before" 2>/dev/null >"$parameter"; then
  echo "no test was run through an io_uring: $parameter cannot be set"
  exit 0
fi
trap 'echo "$before" >"$parameter"' EXIT
echo Y >"$parameter"
if [ $# -eq 0 ]; then set -- test/mount/pipe-direct.test.ts test/mount/pipe-poll.test.ts; fi
IPCFS_IO_URING=on TEST_REPORT="$report" npx vitest run "$@"
