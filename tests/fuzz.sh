#!/usr/bin/env bash
# Runs every fuzz target of the project for the time given (default 10s), one
# after the other. usage: tests/fuzz.sh [TIME]
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# late LOG: the fuzzer failed at the end of its time and found nothing. Before Go
# 1.27 a busy machine makes it take its own deadline for a failure
# (https://go.dev/issue/75804); every finding is written to a file, and said so.
late() {
	grep -A1 -e '^--- FAIL: Fuzz' "$1" | grep -qx '    context deadline exceeded' &&
		! grep -q -e 'Failing input written to' -e 'panic:' "$1"
}

fuzz() {
	echo "fuzz $1 ($2, $time)"
	go test -run '^$' -fuzz "^$1\$" -fuzztime "$time" "$2" </dev/null >"$log" 2>&1 && status=0 || status=$?
	if [ "$status" != 0 ] && late "$log"; then
		grep '^fuzz: ' "$log"
		echo "ok: out of time, nothing found (go.dev/issue/75804)"
		return
	fi
	cat "$log"
	return "$status"
}

grep -rnoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | while IFS=: read -r file _ func; do
	fuzz "${func#func }" "$(dirname "$file")"
done
