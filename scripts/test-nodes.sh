#!/usr/bin/env bash
# Runs the compiled tests on other versions of Node: `test-nodes.sh FOLDER [ARGUMENT…]`. Missing versions are installed into FOLDER. The
# arguments are passed to the test runner; by default it runs the tests that may depend on the version. VERSIONS selects the versions,
# by default all.
set -euo pipefail
folder=$(realpath "${1:?usage: test-nodes.sh FOLDER [ARGUMENT…]}")
shift
cd "$(dirname "$0")/.."

# These depend on the machine and the package, not on the version of Node.
machine=(cgroup cli- containment-option deployment-files deployment-pm2 docs faults own-folder ownership package private-tmp readme release-registry
  remove-folder runner sweep tree-level workflows alone/crash)
# These depend on documented behaviour of processes and sockets only. Testing the newest version is enough.
kernel=(chains command-tree deployment-cluster stdio-server first- hooks hostile hung refuse-as-keeper keeper-file keeper-start
  matrix mcp process-origin own-session pid-reuse rights inherited-scope tree worker alone/)

for version in ${VERSIONS:-22 24 26}; do
  node=$folder/node$version/node_modules/node/bin/node
  [ -x "$node" ] ||
    npm install --silent --no-save --no-package-lock --prefix "$folder/node$version" "node@$version" >/dev/null
  echo "== Node $("$node" --version), as user $(id -u)"
  if [ $# -gt 0 ]; then arguments=("$@")
  elif [ "$version" -eq 26 ]; then arguments=(--but "${machine[@]}")
  else arguments=(--but "${machine[@]}" "${kernel[@]}")
  fi
  "$node" build/test/runner/main.js "${arguments[@]}"
done
