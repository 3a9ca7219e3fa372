#!/usr/bin/env bash
# Checks everything: format, lint, types, every test, real mounts included, and that each rule has one.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/prepare.sh
scripts/install-test-tools.sh
npm run --silent format:check
npm run --silent lint
mkdir -p .cache
npm run --silent test
npm run --silent rules -- --quiet
node scripts/test-summary.mjs
