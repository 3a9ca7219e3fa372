#!/usr/bin/env bash
# Checks everything: format, lint, types, and every test, real mounts included.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/prepare.sh
scripts/install-test-tools.sh
npm run --silent format:check
npm run --silent lint
mkdir -p .cache
npm run --silent test
node scripts/test-summary.mjs
