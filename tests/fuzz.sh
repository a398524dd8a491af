#!/usr/bin/env bash
# Runs every fuzz target of the project for the time given (default 10s), one
# after the other. usage: tests/fuzz.sh [TIME]
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
grep -rnoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | while IFS=: read -r file _ func; do
	target=${func#func }
	echo "fuzz $target ($(dirname "$file"), $time)"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$(dirname "$file")" </dev/null
done
