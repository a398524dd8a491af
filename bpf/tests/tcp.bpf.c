/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tcp.bpf.c: the state machine alone, its answers in a map. Not part of the product:
 * tests/tcp compares it with userspace/tracker.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../tcp.h"

#define ALL_FLAGS	256

/* The frame: what is the same for all flags. */
struct question {
	__u32	state;
	__u32	facts;
	__u32	responder;	/* 1: the sender is */
	__u32	pad;
};

const struct question *asked __attribute__((unused));	/* for its Go type */

struct answer {
	__u8	next[ALL_FLAGS];	/* by flags */
};

/* key: 0, value: the answer to the last question. Written here, read by the test. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct answer);
} answers SEC(".maps");

SEC("xdp")
int transitions(struct xdp_md *ctx)
{
	const struct question *q = (void *)(long)ctx->data;
	__u32 zero = 0, flags;
	struct answer *a = bpf_map_lookup_elem(&answers, &zero);

	if (!a || (void *)(q + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	for (flags = 0; flags < ALL_FLAGS; flags++)
		a->next[flags] = fs_transition(q->state, q->responder, flags, q->facts);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
