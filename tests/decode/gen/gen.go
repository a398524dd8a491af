// Package gen is what bpf2go makes of bpf/tests/decode.bpf.c, the parser alone.
package gen

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64 -no-global-types -type answer -type followed -type fs_packet -type fs_tcp_options -type fs_tunnels -type fs_tunnel_port Decode ../../../bpf/tests/decode.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu
