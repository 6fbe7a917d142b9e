#!/usr/bin/env bash
# Runs the compiled tests on the other versions of Node: `test-nodes.sh FOLDER [ARGUMENT…]`. The versions are installed in FOLDER
# if they are not there yet, and the arguments go to the runner. Without them it runs what may depend on the version. VERSIONS are
# those to run, by default all.
set -euo pipefail
folder=$(realpath "${1:?usage: test-nodes.sh FOLDER [ARGUMENT…]}")
shift
[ $# -gt 0 ] || set -- --but cli-doctor cli-ps deployment-files deployment-pm2 docs faults own-folder ownership package \
  private-tmp readme release-notes remove-folder runner sweep alone/crash
cd "$(dirname "$0")/.."

for version in ${VERSIONS:-22 24 26}; do
  node=$folder/node$version/node_modules/node/bin/node
  [ -x "$node" ] ||
    npm install --silent --no-save --no-package-lock --prefix "$folder/node$version" "node@$version" >/dev/null
  echo "== Node $("$node" --version), as user $(id -u)"
  "$node" build/test/runner/main.js "$@"
done
