/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fragment.h: IP fragments on their way to account.h. */
#ifndef FS_FRAGMENT_H
#define FS_FRAGMENT_H

#include "account.h"
#include "frag.h"

/* key: the hook, value: what frag.h says of the fragment in hand. Per-CPU, and programs
 * run with softirqs off.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct fs_followed);
} fs_followeds SEC(".maps");

static __always_inline struct fs_followed *fs_followed_of(__u32 hook)
{
	struct fs_followed *f = bpf_map_lookup_elem(&fs_followeds, &hook);

	if (f)
		__builtin_memset(f, 0, sizeof(*f));
	return f;
}

/* tell_waiting sends a fragment whose flow is not known. */
static __always_inline void tell_waiting(void *ctx, bool skb, const struct fs_packet *p)
{
	struct fs_spot at = { .slot = FS_SLOT_NONE };
	struct fs_out o = { .ctx = ctx, .skb = skb, .p = p, .at = &at };
	__u32 hook = skb ? FS_HOOK_TC : FS_HOOK_XDP, first = 0;

	o.ring = bpf_map_lookup_elem(&rings, &first);
	o.head = bpf_map_lookup_elem(&fs_heads, &hook);
	if (o.ring && o.head)
		fs_emit_fragment(&o, true);
}

/* Global functions, so that the verifier looks at them once. */
__noinline int waiting_xdp(struct xdp_md *ctx, const struct fs_packet *p)
{
	if (p)
		tell_waiting(ctx, false, p);
	return 0;
}

__noinline int waiting_skb(struct __sk_buff *skb, const struct fs_packet *p)
{
	if (p)
		tell_waiting(skb, true, p);
	return 0;
}

/* fs_fragment gives a fragment the ports of its datagram. It is false when there is no
 * more to do: the fragment waits for the first one. cause: why it is of no flow.
 */
static __always_inline bool fs_fragment(void *ctx, bool skb, struct fs_packet *p, struct fs_followed *f,
					enum fs_cause *cause)
{
	int fate = f ? fs_follow(p, skb ? FS_HOOK_TC : FS_HOOK_XDP, f) : FS_FOLLOW_ORPHAN;

	if (f && f->orphan_packets)
		fs_count(FS_COUNT_UNPARSED + FS_FRAGMENT_ORPHAN, f->orphan_packets, f->orphan_bytes);
	if (f && f->full)
		fs_count(FS_COUNT_FRAGMENTS_FULL, p->segs, p->wire_len);
	if (fate == FS_FOLLOW_ORPHAN) {
		*cause = FS_FRAGMENT_ORPHAN;
		return true;
	}
	if (fate != FS_FOLLOW_WAITING)
		return true;
	if (skb)
		waiting_skb(ctx, p);
	else
		waiting_xdp(ctx, p);
	return false;
}

#endif
