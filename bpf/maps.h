/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* maps.h: what the programs share with user space. The parser's own map is in
 * decap.h. Sizes given here are the smallest; the loader sets those in use.
 */
#ifndef FS_MAPS_H
#define FS_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi.h"

/* key: bucket, value: its places. The programs claim and count, user space reads,
 * sets control and dead bits, and frees, all in mapped memory.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fs_bucket4);
} flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fs_bucket6);
} flows6 SEC(".maps");

/* key: place, value: the rest of its flow. Written by the programs; read, and cleared
 * when the place is freed, by user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FS_BUCKET);
	__type(key, __u32);
	__type(value, struct fs_cold);
} cold4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FS_BUCKET);
	__type(key, __u32);
	__type(value, struct fs_cold);
} cold6 SEC(".maps");

/* key: flow, value: its account while it has no place. The programs write one of two maps;
 * user space puts the other, empty one in its stead and then reads it, so that no packet
 * falls between.
 */
struct fs_spill_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct fs_flow_key);
	__type(value, struct fs_spill);
} spill_accounts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct fs_spill_map);
} spill SEC(".maps") = {
	.values = { &spill_accounts },
};

/* key: 0, value: what is in the other maps. Written once, by who makes them; read by
 * processes that open them pinned. The programs have no use for it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fs_abi);
} abi SEC(".maps");

/* key: 0, value: what the reader has written of flows that are gone. Written by user
 * space alone.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fs_ledger);
} ledger SEC(".maps");

/* key: worker, value: its ring of struct fs_record. Written by the programs, read by
 * one goroutine.
 */
struct fs_ring_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct fs_ring_map);
} rings SEC(".maps");

/* key: what, value: how often and how many bytes. Written by the programs, read by
 * user space, which adds the CPUs up.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FS_COUNTERS);
	__type(key, enum fs_counter);
	__type(value, struct fs_tally);
} counters SEC(".maps");

/* fs_count adds to a counter. Per-CPU, and programs run with softirqs off: a plain
 * addition is safe.
 */
static __always_inline struct fs_tally *fs_count(enum fs_counter what, __u64 packets, __u64 bytes)
{
	struct fs_tally *t = bpf_map_lookup_elem(&counters, &what);

	if (t) {
		t->packets += packets;
		t->bytes += bytes;
	}
	return t;
}

#endif
