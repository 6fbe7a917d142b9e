#!/usr/bin/env bash
# Runs the compiled tests on the other versions of Node: `test-nodes.sh FOLDER [ARGUMENT…]`. The versions are installed in FOLDER
# if they are not there yet, and the arguments go to the runner. Without them it runs what may depend on the version. VERSIONS are
# those to run, by default all.
set -euo pipefail
folder=$(realpath "${1:?usage: test-nodes.sh FOLDER [ARGUMENT…]}")
shift
cd "$(dirname "$0")/.."

# The machine decides these, and the package, not the version of Node.
machine=(cli- deployment-files deployment-pm2 docs faults own-folder ownership package private-tmp readme release-registry
  remove-folder runner sweep alone/crash)
# These need a Node that does what its documentation says of processes and sockets. It is enough that the newest one is tried.
kernel=(chains command-tree deployment-cluster stdio-server first- hooks hostile hung refuse-as-keeper keeper-file keeper-start matrix mcp process-origin
  own-session pid-reuse rights inherited-scope tree worker alone/)

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
