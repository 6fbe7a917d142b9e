#!/usr/bin/env bash
# Runs what `npm test` leaves out, because it takes long or needs more packages: many requests, the soak, the schema of the Kubernetes
# manifest, other runtimes, and other versions of Node.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

node build/test/runner/main.js --lanes 2 long/
echo '== the soak, for a minute'
node build/soak/main.js --seconds 60
echo '== the manifest for Kubernetes, by its schema'
node scripts/check-manifest.js "$scratch/schemas"
echo '== runtimes that are not Node'
node scripts/check-runtimes.js "$scratch/runtimes"
bash scripts/test-nodes.sh "$scratch"
