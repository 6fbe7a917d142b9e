#!/usr/bin/env bash
# Runs the compiled tests on the other versions of Node: `test-nodes.sh FOLDER [ARGUMENT…]`. The versions are installed in FOLDER
# if they are not there yet, and the arguments go to the runner. Without them it runs what may depend on the version.
set -euo pipefail
folder=$(realpath "${1:?usage: test-nodes.sh FOLDER [ARGUMENT…]}")
shift
[ $# -gt 0 ] || set -- --but cli-ps deployment-files deployment-pm2 docs faults package readme runner alone/crash
cd "$(dirname "$0")/.."

for version in 22 24 26; do
  node=$folder/node$version/node_modules/node/bin/node
  [ -x "$node" ] ||
    npm install --silent --no-save --no-package-lock --prefix "$folder/node$version" "node@$version" >/dev/null
  echo "== Node $("$node" --version), as user $(id -u)"
  "$node" build/test/runner/main.js "$@"
done
