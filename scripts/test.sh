#!/usr/bin/env bash
# Checks everything: format, lint, import cycles, types, every test on real mounts too, and that each rule has a test.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/prepare.sh
scripts/install-test-tools.sh
npm run --silent format:check
npm run --silent lint
npm run --silent cycles
mkdir -p .cache
npm run --silent test
scripts/test-ring.sh
npm run --silent rules -- --quiet
node scripts/test-summary.mjs
