/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* frame.h: where a frame is, how long it was, and when. What differs between XDP,
 * tc and a replayed capture ends here.
 *
 * fs_frame_xdp and fs_frame_skb fill the frame, and lengths, time and segments of the
 * packet. The former is FS_LINK_TYPE when a replayed frame lacks its metadata. Its
 * lengths are those of the linear part if the frame looks as if that were all: asking
 * costs as much as half of the parsing. Whoever finds an IP packet longer than
 * that asks with fs_xdp_len.
 */
#ifndef FS_FRAME_H
#define FS_FRAME_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>
#include "config.h"
#include "packet.h"

/* LINKTYPE_ numbers of capture files. */
enum fs_link_type {
	FS_LINK_NULL		= 0,
	FS_LINK_ETHERNET	= 1,
	FS_LINK_RAW_BSD		= 12,
	FS_LINK_RAW_OPENBSD	= 14,
	FS_LINK_RAW		= 101,
	FS_LINK_LOOP		= 108,
	FS_LINK_SLL		= 113,
	FS_LINK_IPV4		= 228,
	FS_LINK_IPV6		= 229,
	FS_LINK_SLL2		= 276,
};

#define FS_VLAN_ID	0x0fff
#define FS_ONE_BUFFER	1600	/* no driver takes less into one buffer */

/* The part of a frame that programs may read directly: headers, as a rule, but a
 * driver may leave even those in a fragment.
 */
struct fs_frame {
	void	*data;
	void	*end;
	__u32	link_type;
	__u16	vlan;		/* id of a tag that is no longer in the frame */
	bool	has_vlan;
};

static __always_inline __u64 fs_now(void)
{
	return fs_coarse_clock ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
}

/* fs_replayed takes time, lengths and link type from the metadata of the test clock. */
static __always_inline enum fs_cause fs_replayed(const struct xdp_md *ctx, struct fs_frame *f,
						 struct fs_packet *p)
{
	const struct fs_replay_meta *meta = (void *)(long)ctx->data_meta;

	if ((void *)(meta + 1) > f->data)
		return FS_LINK_TYPE;
	p->time = meta->time;
	p->cap_len = meta->cap_len;
	p->wire_len = meta->wire_len > meta->cap_len ? meta->wire_len : meta->cap_len;
	f->link_type = meta->link_type;
	return FS_DECODED;
}

/* fs_xdp_len returns the length of the frame, all fragments in. */
static __always_inline __u32 fs_xdp_len(struct xdp_md *ctx)
{
	if (fs_frags)
		return bpf_xdp_get_buff_len(ctx);
	return ctx->data_end - ctx->data;
}

/* fs_maybe_frags says whether a frame with this much in its linear part may go on
 * outside. Fragments are what did not fit into the first buffer, or what is behind
 * the headers if the card splits there; in the latter case the IP length shows it,
 * unless all that is left is what pads a frame to the least length.
 */
static __always_inline bool fs_maybe_frags(__u32 linear)
{
	return linear < ETH_ZLEN || linear > FS_ONE_BUFFER;
}

static __always_inline enum fs_cause fs_frame_xdp(struct xdp_md *ctx, struct fs_frame *f,
						  struct fs_packet *p)
{
	f->data = (void *)(long)ctx->data;
	f->end = (void *)(long)ctx->data_end;
	p->segs = 1;
	if (fs_replay)
		return fs_replayed(ctx, f, p);
	f->link_type = FS_LINK_ETHERNET;
	p->time = fs_now();
	p->cap_len = f->end - f->data;
	if (fs_maybe_frags(p->cap_len))
		p->cap_len = fs_xdp_len(ctx);
	p->wire_len = p->cap_len;
	return FS_DECODED;
}

static __always_inline void fs_frame_skb(struct __sk_buff *skb, struct fs_frame *f,
					 struct fs_packet *p)
{
	f->data = (void *)(long)skb->data;
	f->end = (void *)(long)skb->data_end;
	f->link_type = FS_LINK_ETHERNET;
	f->vlan = skb->vlan_tci & FS_VLAN_ID;
	f->has_vlan = skb->vlan_present;
	p->time = fs_now();
	p->cap_len = skb->len;
	p->wire_len = skb->len;
	p->segs = skb->gso_segs > 1 ? skb->gso_segs : 1;
}

#endif
