/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* decode.bpf.c: the parser alone, its answer in a map. Not part of the product:
 * tests/decode compares it with userspace/packet.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "../context.h"
#include "../frag.h"
#include "../options.h"

struct answer {
	struct fs_packet	packet;
	struct fs_tcp_options	options;
	struct fs_tunnels	tunnels;
	__u32			cause;		/* enum fs_cause */
	__u32			context;	/* of VLANs and tunnels */
	__u32			pad;
};

/* key: 0, value: what the last frame was. Written here, read by the test. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct answer);
} answers SEC(".maps");

/* What a fragment was found to belong to. */
struct followed {
	struct fs_packet	packet;
	struct fs_followed	followed;
	__u32			verdict;	/* enum fs_follow, or FS_FOLLOW_NONE */
	__u32			pad;
};

#define FS_FOLLOW_NONE	99	/* no fragment */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct followed);
} follows SEC(".maps");

static __always_inline struct answer *answer(void)
{
	__u32 zero = 0;
	struct answer *a = bpf_map_lookup_elem(&answers, &zero);

	if (a)
		__builtin_memset(a, 0, sizeof(*a));
	return a;
}

/* note writes down what the parser left in the walk of a hook. */
static __always_inline void note(struct answer *a, const struct fs_packet *p, __u32 hook)
{
	struct fs_walk *w = fs_walk_of(hook);

	a->packet = *p;
	if (w && p->n_tunnels)
		a->tunnels = w->tunnels;
	a->context = fs_packet_context(p, true, &a->tunnels);
}

SEC("xdp.frags")
int decode_xdp(struct xdp_md *ctx)
{
	struct answer *a = answer();
	struct fs_packet p = {};

	if (!a)
		return XDP_ABORTED;
	a->cause = fs_parse_xdp(ctx, &p);
	note(a, &p, FS_HOOK_XDP);
	if (p.bits & FS_PKT_TCP)
		fs_options_xdp(ctx, &p, &a->options);
	return XDP_PASS;
}

SEC("tc")
int decode_tc(struct __sk_buff *skb)
{
	struct answer *a = answer();
	struct fs_packet p = {};

	if (!a)
		return TC_ACT_SHOT;
	a->cause = fs_parse_skb(skb, &p);
	note(a, &p, FS_HOOK_TC);
	if (p.bits & FS_PKT_TCP)
		fs_options_skb(skb, &p, &a->options);
	return TC_ACT_OK;
}

SEC("xdp.frags")
int follow_xdp(struct xdp_md *ctx)
{
	struct fs_followed f = {};
	struct fs_packet p = {};
	struct followed *to;
	__u32 zero = 0;
	int verdict = FS_FOLLOW_NONE;

	if (!fs_parse_xdp(ctx, &p) && p.bits & FS_PKT_FRAG)
		verdict = fs_follow(&p, FS_HOOK_XDP, &f);
	to = bpf_map_lookup_elem(&follows, &zero);
	if (!to)
		return XDP_ABORTED;
	to->packet = p;
	to->followed = f;
	to->verdict = verdict;
	return XDP_PASS;
}

/* age_xdp moves the clock of fragments to the time at the beginning of the frame. */
SEC("xdp.frags")
int age_xdp(struct xdp_md *ctx)
{
	__s64 *now = (void *)(long)ctx->data;
	struct fs_followed f = {};
	struct followed *to;
	__u32 zero = 0;

	if ((void *)(now + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	fs_age_fragments(*now, &f);
	to = bpf_map_lookup_elem(&follows, &zero);
	if (to)
		to->followed = f;
	return XDP_PASS;
}

/* empty_xdp and parse_xdp are for the benchmark: what parsing costs is the difference. */
SEC("xdp.frags")
int empty_xdp(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp.frags")
int parse_xdp(struct xdp_md *ctx)
{
	struct fs_packet p = {};
	__u32 zero = 0;
	struct answer *a;

	if (fs_parse_xdp(ctx, &p))
		return XDP_DROP;
	a = bpf_map_lookup_elem(&answers, &zero);
	if (a)
		a->packet = p;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
