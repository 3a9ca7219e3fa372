#!/usr/bin/env bash
# Makes sure that the programs that the mount tests call are there. Installs them where it can (Debian and its kin, as root),
# otherwise names the packages.
set -euo pipefail

declare -A package_of=(
  [fusermount3]=fuse3
  [setpriv]=util-linux
  [stress-ng]=stress-ng
  [tmux]=tmux
  [zsh]=zsh
  [fish]=fish
  [groff]=groff-base
  [mandoc]=mandoc
  [hexdump]=bsdextrautils
  [man]=man-db
  [rg]=ripgrep
  [rsync]=rsync
  [zip]=zip
  [bats]=bats
  [pytest]=python3-pytest
  [ip]=iproute2
  [setfattr]=attr
)
missing=()
for program in "${!package_of[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
# The tests start servers of their own: the package must not start one. Debian has it in /usr/sbin.
PATH=$PATH:/usr/sbin command -v nats-server >/dev/null || missing+=(nats-server)
# The library of the second transport; newer releases have it under another name.
if [ -z "$(ldconfig -p | grep 'libfuse\.so\.2 ' || true)" ]; then
  if apt-cache show libfuse2t64 >/dev/null 2>&1; then missing+=(libfuse2t64); else missing+=(libfuse2); fi
fi
# Pages are looked at in it; those tests are skipped where it cannot be had. 20 s and 400 MB.
if ! command -v chromium >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null ||
    echo "without chromium, pages are not tested" >&2
fi
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  if [ -d /run/systemd/system ]; then systemctl mask --quiet nats-server.service || true; fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  exit 0
fi
echo "the mount tests need these packages: ${missing[*]}" >&2
[ -z "${CI:-}" ] || exit 1
