#!/usr/bin/env bash
# Builds the npm packages that can serve in the place of fuse-native, for the tests: fuse-napi (libfuse 3) and @cocalc/fuse-native
# (libfuse 2). They are no dependencies, as they have to be compiled. Needs gcc, make, python3, pkg-config, libfuse3-dev and libfuse2.
#
#   scripts/build-fuse-modules.sh [DIR]      DIR: where to; IPCFS_FUSE_MODULES or ~/.cache/ipcfs/fuse-modules
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
directory=${1:-${IPCFS_FUSE_MODULES:-${XDG_CACHE_HOME:-$HOME/.cache}/ipcfs/fuse-modules}}

for program in gcc make python3 pkg-config; do
  command -v "$program" > /dev/null || { echo "$program is not installed: apt-get install gcc make python3 pkg-config" >&2; exit 1; }
done
pkg-config fuse3 || { echo 'libfuse 3 is not installed: apt-get install libfuse3-dev fuse3' >&2; exit 1; }
library=$(ldconfig -p | awk '/libfuse\.so\.2 / { print $NF; exit }')
[ -n "$library" ] || { echo 'libfuse 2 is not installed: apt-get install libfuse2, in newer releases libfuse2t64' >&2; exit 1; }
# The headers of libfuse 2 come with the package that fuse-native is tested with.
headers=$root/node_modules/fuse-shared-library-linux/libfuse/include
[ -f "$headers/fuse.h" ] || { echo "there is no $headers/fuse.h: run 'npm ci' first" >&2; exit 1; }

mkdir -p "$directory/pkgconfig"
cd "$directory"
echo '{ "private": true }' > package.json
cat > pkgconfig/fuse.pc <<END
Name: fuse
Description: libfuse 2, for the build of @cocalc/fuse-native
Version: 2.9.9
Libs: -L$(dirname "$library") -l:libfuse.so.2
Cflags: -I$headers -D_FILE_OFFSET_BITS=64
END
npm install --no-audit --no-fund --ignore-scripts fuse-napi@2.3.1 @cocalc/fuse-native@2.4.3 > install.log 2>&1 || { cat install.log >&2; exit 1; }
gyp=$(npm root --global)/npm/node_modules/node-gyp/bin/node-gyp.js
nodedir=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
for name in fuse-napi @cocalc/fuse-native; do
  (
    cd "node_modules/$name"
    options=()
    [ ! -f "$nodedir/include/node/node_api.h" ] || options=("--nodedir=$nodedir")
    PKG_CONFIG_PATH=$directory/pkgconfig node "$gyp" rebuild "${options[@]}" > build.log 2>&1 || { cat build.log >&2; exit 1; }
  )
  node -e "require(process.argv[1])" "$directory/node_modules/$name"
  echo "$directory/node_modules/$name"
done
