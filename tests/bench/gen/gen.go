// Package gen is bpf/tests/bench.bpf.c and hash.bpf.c, compiled by bpf2go: never edited.
package gen

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel Bench ../../../bpf/tests/bench.bpf.c -- -O2 -mcpu=v3 -Wall -Werror -I/usr/include/x86_64-linux-gnu
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -no-global-types Hash ../../../bpf/tests/hash.bpf.c -- -O2 -mcpu=v3 -Wall -Werror -I/usr/include/x86_64-linux-gnu
