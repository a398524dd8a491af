#!/bin/sh
# run.sh runs the privileged tests on other kernels, in qemu, with Debian's kernel
# packages: tests/kernels/run.sh [SUITE ...], by default bookworm (6.1) and trixie (6.12).
#
# It needs Debian or Ubuntu with qemu-system-x86, busybox-static, cpio, Go and the network;
# no root. It emulates, which takes minutes; ACCEL=kvm where that works.
# PACKAGES says which test packages, RUN which tests of them; kernels are kept in CACHE.
# MIRROR is where Debian's packages come from, by default where this host has them from.
set -eu

PACKAGES=${PACKAGES:-./tests/decode ./userspace/xdp}
RUN=${RUN:-.}
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/flowscope-kernels}
ACCEL=${ACCEL:-tcg}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | grep -m 1 'debian/*$')}

cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# apt_of SUITE COMMAND...: apt with a state of its own, so that the host's is left alone.
apt_of() {
	root=$CACHE/apt-$1
	mkdir -p "$root/lists/partial" "$root/cache/archives/partial"
	echo "deb [signed-by=$KEYRING] $MIRROR $1 main" >"$root/sources.list"
	command=$2
	shift 2
	"$command" -q -o Dir::Etc::SourceList="$root/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$root/lists" -o Dir::Cache="$root/cache" \
		-o APT::Sandbox::User= -o Debug::NoLocking=1 "$@"
}

# kernel SUITE: the path of its kernel image, fetched if it is not there yet.
kernel() {
	dir=$CACHE/$1
	if [ ! -d "$dir" ]; then
		apt_of "$1" apt-get update >&2
		package=$(apt_of "$1" apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
		mkdir -p "$dir.new"
		(cd "$dir.new" && apt_of "$1" apt-get download "$package" >&2 && dpkg-deb -x "$package"_*.deb .)
		mv "$dir.new" "$dir"
	fi
	ls "$dir"/boot/vmlinuz-*
}

# initramfs: busybox, the tests, and an init that runs them.
initramfs() {
	mkdir -p "$work/root/bin" "$work/root/tests" "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/tmp"
	cp "$(command -v busybox)" "$work/root/bin/busybox"
	for p in $PACKAGES; do
		CGO_ENABLED=0 go test -c -o "$work/root/tests/$(basename "$p")" "$p"
	done
	cat >"$work/root/init" <<-INIT
		#!/bin/busybox sh
		/bin/busybox mount -t proc none /proc
		/bin/busybox mount -t sysfs none /sys
		/bin/busybox mount -t devtmpfs none /dev
		/bin/busybox mount -t bpf none /sys/fs/bpf
		/bin/busybox mount -t tmpfs none /tmp
		/bin/busybox ip link set lo up
		echo "kernel \$(/bin/busybox uname -r)"
		for t in /tests/*; do
			cd /tmp && "\$t" -test.v -test.run '$RUN' && echo "passed \$t" || echo "FAILED \$t"
		done
		echo "all done"
		/bin/busybox poweroff -f
	INIT
	chmod +x "$work/root/init"
	(cd "$work/root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$work/initramfs"
}

# boot IMAGE LOG: runs the tests on it; the console is the log.
boot() {
	timeout 1800 qemu-system-x86_64 -accel "$ACCEL" -cpu max -smp 2 -m 2048 -nographic -no-reboot \
		-kernel "$1" -initrd "$work/initramfs" -append "console=ttyS0 panic=-1 quiet no_timer_check" >"$2" 2>&1 </dev/null
}

initramfs
failed=0
[ $# -gt 0 ] || set -- bookworm trixie
for suite; do
	log=$work/$suite.log
	image=$(kernel "$suite")
	boot "$image" "$log" || true
	grep -E '^kernel |^(passed|FAILED) |^--- (FAIL|SKIP)|instructions verified' "$log" || true
	if ! grep -q '^all done' "$log" || grep -q '^FAILED ' "$log"; then
		failed=1
		tail -n 100 "$log"
	fi
done
exit $failed
