// Package gen is bpf/tests/tcp.bpf.c, compiled by bpf2go: never edited.
package gen

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -type question -type step TCP ../../../bpf/tests/tcp.bpf.c -- -O2 -mcpu=v3 -Wall -Werror -I/usr/include/x86_64-linux-gnu
