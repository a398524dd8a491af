#!/bin/sh
# Has systemd look at the unit: what it does not understand, and how exposed it is. Needs
# systemd-analyze; the program itself need not be installed.
set -eu
cd "$(dirname "$0")/.."
command -v systemd-analyze >/dev/null || { echo "systemd-analyze is needed (package systemd)" >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
CGO_ENABLED=0 go build -o "$dir/flowscope-xdp" ./cmd/flowscope-xdp
sed "s|/usr/local/bin/|$dir/|" packaging/flowscope-xdp.service >"$dir/flowscope-xdp.service"
systemd-analyze verify --man=no "$dir/flowscope-xdp.service"
systemd-analyze security --offline=yes --threshold=30 "$dir/flowscope-xdp.service" | tail -1
