/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* parse.h: frame -> struct fs_packet, by the rules of userspace/packet (its package
 * comment) and to the same answer.
 *
 * fs_parse_xdp and fs_parse_skb first try the plain path, inlined: Ethernet, at most
 * one VLAN tag, IPv4 or IPv6 without extension headers, no fragment, TCP, UDP or
 * ICMP with all headers captured and in the linear part. Anything else, and
 * anything wrong, is left to the walk in decap.h, which decides.
 *
 * A plain_ function moves on only when it returns true; on false what it wrote is
 * thrown away.
 */
#ifndef FS_PARSE_H
#define FS_PARSE_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include "frame.h"
#include "l4.h"
#include "decap.h"

/* plain_payload sets where the payload is. len: bytes by the headers. */
static __always_inline void plain_payload(struct fs_packet *p, __u32 off, __u32 len)
{
	__u32 cap = p->cap_len - off;

	p->payload_off = off;
	p->payload_len = len;
	p->payload_cap = len < cap ? len : cap;
}

static __always_inline bool plain_tcp(const struct fs_frame *f, struct fs_packet *p, __u32 left)
{
	const struct tcphdr *tcp = f->data + p->l4_off;
	__u32 len;

	if ((void *)(tcp + 1) > f->end)
		return false;
	len = tcp->doff * 4;
	if (len < FS_TCP_MIN || len > left || p->l4_off + len > p->cap_len)
		return false;
	fs_ports(p, &tcp->source);
	fs_tcp_fields(p, tcp);
	p->tcp_optlen = len - FS_TCP_MIN;
	plain_payload(p, p->l4_off + len, left - len);
	return true;
}

static __always_inline bool plain_udp(const struct fs_frame *f, struct fs_packet *p, __u32 left)
{
	const struct udphdr *udp = f->data + p->l4_off;
	__u32 len;

	if ((void *)(udp + 1) > f->end)
		return false;
	len = bpf_ntohs(udp->len);
	if (len < FS_UDP_LEN || len > left || p->l4_off + FS_UDP_LEN > p->cap_len)
		return false;
	fs_ports(p, &udp->source);
	if (fs_maybe_tunnel(p))
		return false;
	plain_payload(p, p->l4_off + FS_UDP_LEN, len - FS_UDP_LEN);
	return true;
}

static __always_inline bool plain_icmp(const struct fs_frame *f, struct fs_packet *p, __u32 left)
{
	const __u8 *icmp = f->data + p->l4_off;

	if (icmp + FS_ICMP_LEN > (const __u8 *)f->end)
		return false;
	if (left < FS_ICMP_LEN || p->l4_off + FS_ICMP_LEN > p->cap_len)
		return false;
	fs_icmp_fields(p, icmp);
	plain_payload(p, p->l4_off + FS_ICMP_LEN, left - FS_ICMP_LEN);
	return true;
}

/* plain_l4 reads the header at l4_off. left: bytes of the IP packet from there on. */
static __always_inline bool plain_l4(const struct fs_frame *f, struct fs_packet *p, __u32 left)
{
	if (p->l4_off + left > p->cap_len)
		p->bits |= FS_PKT_CUT;
	switch (p->proto) {
	case IPPROTO_TCP:
		return plain_tcp(f, p, left);
	case IPPROTO_UDP:
		return plain_udp(f, p, left);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return plain_icmp(f, p, left);
	}
	return false;
}

static __always_inline bool plain_ipv4(const struct fs_frame *f, struct fs_packet *p)
{
	const struct iphdr *ip = f->data + p->l3_off;
	__u32 header, len;

	if ((void *)(ip + 1) > f->end)
		return false;
	header = ip->ihl * 4;
	len = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || header < sizeof(*ip) || len < header ||
	    p->l3_off + len > p->wire_len || ip->frag_off & bpf_htons(FS_IP_FRAGMENT))
		return false;
	p->ip_version = 4;
	p->ip_len = len;
	p->src.v4 = ip->saddr;
	p->dst.v4 = ip->daddr;
	p->ttl = ip->ttl;
	p->proto = ip->protocol;
	p->l4_off = p->l3_off + header;
	return plain_l4(f, p, len - header);
}

static __always_inline bool plain_ipv6(const struct fs_frame *f, struct fs_packet *p)
{
	const struct ipv6hdr *ip = f->data + p->l3_off;
	__u32 left;

	if ((void *)(ip + 1) > f->end)
		return false;
	left = bpf_ntohs(ip->payload_len);
	p->l4_off = p->l3_off + sizeof(*ip);
	if (ip->version != 6 || !left || p->l4_off + left > p->wire_len)
		return false;
	p->ip_version = 6;
	p->ip_len = sizeof(*ip) + left;
	__builtin_memcpy(&p->src, &ip->saddr, sizeof(p->src));
	__builtin_memcpy(&p->dst, &ip->daddr, sizeof(p->dst));
	p->flow_label = fs_flow_label(ip);
	p->ttl = ip->hop_limit;
	p->proto = ip->nexthdr;
	return plain_l4(f, p, left);
}

static __always_inline bool plain_ethernet(const struct fs_frame *f, struct fs_packet *p)
{
	const struct ethhdr *eth = f->data;
	const struct fs_vlan *tag = (void *)(eth + 1);
	__be16 type;

	if ((void *)(tag + 1) > f->end || f->link_type != FS_LINK_ETHERNET)
		return false;
	type = eth->h_proto;
	p->l3_off = sizeof(*eth);
	if (f->has_vlan) {
		p->vlans[0] = f->vlan;
		p->n_vlans = 1;
	} else if (type == bpf_htons(ETH_P_8021Q)) {
		p->vlans[0] = bpf_ntohs(tag->tci) & FS_VLAN_ID;
		p->n_vlans = 1;
		type = tag->type;
		p->l3_off += sizeof(*tag);
	}
	p->bits = FS_PKT_SRC_MAC | FS_PKT_DST_MAC;
	p->src_mac_off = ETH_ALEN;
	if (type == bpf_htons(ETH_P_IP))
		return plain_ipv4(f, p);
	if (type == bpf_htons(ETH_P_IPV6))
		return plain_ipv6(f, p);
	return false;
}

/* walk_fit returns n, which is 1 to FS_WINDOW, in a way that shows it to the verifiers of
 * older kernels too: they learn nothing of two checks that the compiler has joined.
 */
static __always_inline __u32 walk_fit(__u32 n)
{
	return ((n - 1) & (FS_WINDOW - 1)) + 1;
}

/* fs_walk_load_xdp copies n bytes (1 to FS_WINDOW) from off on into the window, also from
 * outside the linear part. Kernels without multi-buffer frames have nothing outside.
 */
__noinline int fs_walk_load_xdp(struct xdp_md *ctx, __u32 off, __u32 n)
{
	struct fs_walk *w = fs_walk_of(FS_HOOK_XDP);
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 i;

	if (!w || off > FS_OFFSET_MAX)
		return -1;
	n = walk_fit(n);
	if (fs_frags)
		return bpf_xdp_load_bytes(ctx, off, w->window, n);
	if (off > FS_OFFSET_MAX - FS_WINDOW)
		return -1;
	data += off;
	asm volatile("" : "+r"(n));	/* or the compiler drops the bound it knows n to have */
	for (i = 0; i < FS_WINDOW && i < n; i++) {
		if (data + i + 1 > end)
			return -1;
		w->window[i] = data[i];
	}
	return 0;
}

/* fs_walk_xdp parses what is not plain; the packet is in the walk of FS_HOOK_XDP. It
 * returns enum fs_cause.
 */
__noinline int fs_walk_xdp(struct xdp_md *ctx)
{
	struct fs_walk *w = fs_walk_of(FS_HOOK_XDP);
	__u32 i, n;

	if (!w)
		return FS_MALFORMED;
	for (i = 0; i < FS_MAX_TURNS; i++) {
		n = walk_wanted(w);
		if (n && fs_walk_load_xdp(ctx, w->off, n))
			return FS_TRUNCATED;
		if (!fs_walk_step(w))
			break;
	}
	return walk_result(w);
}

/* fs_walk_load_skb and fs_walk_skb are the same for tc. */
__noinline int fs_walk_load_skb(struct __sk_buff *skb, __u32 off, __u32 n)
{
	struct fs_walk *w = fs_walk_of(FS_HOOK_TC);

	if (!w)
		return -1;
	n = walk_fit(n);
	return bpf_skb_load_bytes(skb, off, w->window, n);
}

__noinline int fs_walk_skb(struct __sk_buff *skb)
{
	struct fs_walk *w = fs_walk_of(FS_HOOK_TC);
	__u32 i, n;

	if (!w)
		return FS_MALFORMED;
	for (i = 0; i < FS_MAX_TURNS; i++) {
		n = walk_wanted(w);
		if (n && fs_walk_load_skb(skb, w->off, n))
			return FS_TRUNCATED;
		if (!fs_walk_step(w))
			break;
	}
	return walk_result(w);
}

/* fs_parse_xdp fills p, which the caller has zeroed, and returns FS_DECODED, or why
 * the frame is in no flow; of p only time and lengths are valid then.
 */
static __always_inline enum fs_cause fs_parse_xdp(struct xdp_md *ctx, struct fs_packet *p)
{
	struct fs_frame f = {};
	struct fs_walk *w;
	enum fs_cause cause;

	cause = fs_frame_xdp(ctx, &f, p);
	if (cause || plain_ethernet(&f, p))
		return cause;
	w = fs_walk_of(FS_HOOK_XDP);
	if (!w)
		return FS_MALFORMED;
	if (!fs_replay) {
		p->cap_len = fs_xdp_len(ctx);
		p->wire_len = p->cap_len;
	}
	walk_begin(w, &f, p);
	cause = fs_walk_xdp(ctx);
	if (!cause)
		*p = w->done;
	return cause;
}

static __always_inline enum fs_cause parse_skb(struct __sk_buff *skb, struct fs_packet *p)
{
	struct fs_frame f = {};
	struct fs_walk *w;
	enum fs_cause cause;

	fs_frame_skb(skb, &f, p);
	if (plain_ethernet(&f, p))
		return FS_DECODED;
	w = fs_walk_of(FS_HOOK_TC);
	if (!w)
		return FS_MALFORMED;
	walk_begin(w, &f, p);
	cause = fs_walk_skb(skb);
	if (!cause)
		*p = w->done;
	return cause;
}

/* fs_parse_skb is the same for tc. What the card will cut into segments counts as it will
 * be on the wire: all headers are repeated.
 */
static __always_inline enum fs_cause fs_parse_skb(struct __sk_buff *skb, struct fs_packet *p)
{
	enum fs_cause cause = parse_skb(skb, p);

	if (!cause && p->segs > 1) {
		p->wire_len += (p->segs - 1) * p->payload_off;
		p->ip_len += (p->segs - 1) * (p->payload_off - p->l3_off);
	}
	return cause;
}

#endif
