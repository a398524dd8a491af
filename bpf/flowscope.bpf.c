/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* flowscope.bpf.c: counts every packet of every flow, and sends up what parsers want of
 * it. The same code runs on XDP (ingress) and on tc (egress).
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "config.h"
#include "maps.h"
#include "parse.h"
#include "options.h"
#include "table.h"
#include "tcp.h"
#include "quality.h"
#include "emit.h"
#include "spill.h"
#include "account.h"
#include "fragment.h"

/* What Go types are made of though no map has it as key or value: only what a variable
 * has the type of is in the object's BTF.
 */
struct fs_exported {
	struct fs_place4	place4;
	struct fs_place6	place6;
	struct fs_record	record;
	struct fs_start		start;
	struct fs_fragment	fragment;
	struct fs_replay_meta	replay_meta;
	enum fs_kind		kind;
	enum fs_record_bits	record_bits;
	enum fs_lost		lost;
	enum fs_slot		slot;
	enum fs_id		id;
	enum fs_control		control;
	enum fs_tcp		tcp;
	enum fs_abi_version	abi_version;
	enum fs_intent		intent;
};
const struct fs_exported *fs_exported __attribute__((unused));

static __always_inline void observe(void *ctx, bool skb, struct fs_packet *p, enum fs_cause cause)
{
	const struct fs_waiting *waited = NULL;

	fs_count(FS_COUNT_SEEN, p->segs, p->wire_len);
	if (!cause && p->bits & FS_PKT_FRAG) {
		struct fs_followed *f = fs_followed_of(skb ? FS_HOOK_TC : FS_HOOK_XDP);

		if (!fs_fragment(ctx, skb, p, f, &cause))
			return;
		waited = f ? &f->waited : NULL;
	}
	if (!cause)
		cause = fs_account(ctx, skb, p, waited);
	fs_count(cause ? FS_COUNT_UNPARSED + cause : FS_COUNT_TRACKED, p->segs, p->wire_len);
	if (p->bits & FS_PKT_DECAP_DEPTH)
		fs_count(FS_COUNT_DECAP_DEPTH, p->segs, p->wire_len);
}

SEC("xdp.frags")
int flowscope_xdp(struct xdp_md *ctx)
{
	struct fs_packet p = {};
	enum fs_cause cause = fs_parse_xdp(ctx, &p);

	observe(ctx, false, &p, cause);
	return XDP_PASS;	/* we watch; we never drop */
}

SEC("tc")
int flowscope_tc(struct __sk_buff *skb)
{
	struct fs_packet p = {};
	enum fs_cause cause = fs_parse_skb(skb, &p);

	observe(skb, true, &p, cause);
	return TC_ACT_UNSPEC;	/* TCX_NEXT: leave it to who comes after us */
}

/* flowscope_age gives up the fragments whose time is over. User space runs it, by
 * BPF_PROG_TEST_RUN, on a frame that begins with the time it is, in host order.
 */
SEC("xdp")
int flowscope_age(struct xdp_md *ctx)
{
	__s64 *now = (void *)(long)ctx->data;
	struct fs_followed f = {};

	if ((void *)(now + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	fs_age_fragments(*now, &f);
	fs_count(FS_COUNT_UNPARSED + FS_FRAGMENT_ORPHAN, f.orphan_packets, f.orphan_bytes);
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
