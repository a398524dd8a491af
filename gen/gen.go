// Package gen is the compiled BPF program with the Go twins of bpf/abi.h. All but this
// file is the output of bpf2go: never edited, reproduced by go generate. Only package
// xdp imports it.
//
// One object serves every little-endian machine, amd64 and arm64 among them.
package gen

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -no-global-types -type fs_tunnel_port -type fs_bucket4 -type fs_bucket6 -type fs_line4 -type fs_line6 -type fs_place4 -type fs_place6 -type fs_cold -type fs_cold_side -type fs_counts -type fs_record -type fs_start -type fs_fragment -type fs_tunnel -type fs_flow_key -type fs_spill -type fs_spill_side -type fs_tally -type fs_replay_meta -type fs_counter -type fs_kind -type fs_control -type fs_id -type fs_slot -type fs_tcp -type fs_lost -type fs_record_bits -type fs_abi -type fs_abi_version -type fs_ledger -type fs_total -type fs_intent BPF ../bpf/flowscope.bpf.c -- -O2 -mcpu=v3 -Wall -Werror -I/usr/include/x86_64-linux-gnu
