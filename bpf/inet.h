/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* inet.h: IP headers, extension headers and fragments, and the L4 header, with which a
 * packet is complete.
 */
#ifndef FS_INET_H
#define FS_INET_H

#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include "l4.h"
#include "walk.h"

#define FS_IP_FRAGMENT		0x3fff	/* more fragments, or an offset */
#define FS_IP_MORE		0x2000
#define FS_IP_OFFSET		0x1fff
#define FS_IP6_OFFSET		0xfff8
#define FS_IP6_MORE		0x0001
#define FS_DATAGRAM_MAX		65535

#define FS_IPPROTO_HIP		139
#define FS_IPPROTO_SHIM6	140
#define FS_EXT_LEN		8

static __always_inline __u32 fs_flow_label(const void *ipv6)
{
	return bpf_ntohl(*(const __be32 *)ipv6) & 0xfffff;
}

/* walk_ip_begins forgets what an outer packet had, and returns the bytes up to the end of
 * what the header is in.
 */
static __always_inline __u32 walk_ip_begins(struct fs_walk *w)
{
	struct fs_packet *p = &w->pkt;

	p->l3_off = w->off;
	p->bits &= ~(FS_PKT_TCP | FS_PKT_CUT | FS_PKT_FRAG | FS_PKT_FRAG_MORE);
	p->flow_label = 0;
	p->sport = 0;
	p->dport = 0;
	p->icmp_type = 0;
	p->icmp_code = 0;
	p->frag_id = 0;
	p->frag_off = 0;
	p->frag_start = 0;
	p->frag_proto = 0;
	p->tcp_optlen = 0;
	w->count = 0;
	w->no_len = 0;
	return w->end > w->off ? w->end - w->off : 0;
}

/* walk_fragment notes which part of a datagram this is; its data begins at start, and at
 * off bytes in the datagram.
 */
static __always_inline void walk_fragment(struct fs_packet *p, __u32 start, __u32 id, __u32 off,
					  bool more)
{
	p->frag_start = start;
	p->frag_id = id;
	p->frag_off = off;
	p->frag_proto = p->proto;
	p->bits &= ~(FS_PKT_FRAG | FS_PKT_FRAG_MORE);
	p->bits |= off ? FS_PKT_FRAG_LATER : FS_PKT_FRAG_FIRST;
	if (more)
		p->bits |= FS_PKT_FRAG_MORE;
}

static __always_inline enum fs_cause walk_ipv4(struct fs_walk *w, const __u8 *h)
{
	struct fs_packet *p = &w->pkt;
	__u32 header, total, frag, room;

	if (!walk_has(w, sizeof(struct iphdr)))
		return FS_TRUNCATED;
	room = walk_ip_begins(w);
	header = (h[0] & 15) * 4;
	total = walk_u16(h + 2);
	if (!total)
		total = room;
	if (h[0] >> 4 != 4 || header < sizeof(struct iphdr) || total < header || total > room)
		return FS_MALFORMED;
	if (!walk_has(w, header))
		return FS_TRUNCATED;
	__builtin_memset(&p->src, 0, sizeof(p->src));
	__builtin_memset(&p->dst, 0, sizeof(p->dst));
	__builtin_memcpy(&p->src.v4, h + 12, 4);
	__builtin_memcpy(&p->dst.v4, h + 16, 4);
	p->ip_version = 4;
	p->ip_len = total;
	p->ttl = h[8];
	p->proto = h[9];
	frag = walk_u16(h + 6);
	if (frag & FS_IP_FRAGMENT)
		walk_fragment(p, w->off + header, walk_u16(h + 4), (frag & FS_IP_OFFSET) * 8,
			      frag & FS_IP_MORE);
	w->end = w->off + total;
	walk_next(w, header, FS_AT_PROTO);
	w->count = FS_MAX_EXT;	/* IPv4 has no extension headers */
	return FS_DECODED;
}

static __always_inline enum fs_cause walk_ipv6(struct fs_walk *w, const __u8 *h)
{
	struct fs_packet *p = &w->pkt;
	__u32 total, room;

	if (!walk_has(w, sizeof(struct ipv6hdr)))
		return FS_TRUNCATED;
	room = walk_ip_begins(w);
	total = sizeof(struct ipv6hdr) + walk_u16(h + 4);
	if (total == sizeof(struct ipv6hdr) && h[6] != IPPROTO_NONE) {
		w->no_len = 1;
		total = room;
	}
	if (h[0] >> 4 != 6 || total < sizeof(struct ipv6hdr) || total > room)
		return FS_MALFORMED;
	__builtin_memcpy(&p->src, h + 8, sizeof(p->src));
	__builtin_memcpy(&p->dst, h + 24, sizeof(p->dst));
	p->flow_label = walk_u32(h) & 0xfffff;
	p->ip_version = 6;
	p->ip_len = total;
	p->proto = h[6];
	p->ttl = h[7];
	w->end = w->off + total;
	walk_next(w, sizeof(struct ipv6hdr), FS_AT_PROTO);
	return FS_DECODED;
}

/* walk_ip lets the version nibble say which IP it is. */
static __always_inline enum fs_cause walk_ip(struct fs_walk *w, const __u8 *h)
{
	if (!walk_has(w, 1))
		return FS_TRUNCATED;
	w->header = FS_AT_TYPE;
	switch (h[0] >> 4) {
	case 4:
		w->type = ETH_P_IP;
		return FS_DECODED;
	case 6:
		w->type = ETH_P_IPV6;
		return FS_DECODED;
	}
	return FS_MALFORMED;
}

static __always_inline bool walk_is_ext(__u8 proto)
{
	switch (proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
	case FS_IPPROTO_HIP:
	case FS_IPPROTO_SHIM6:
		return true;
	}
	return false;
}

/* walk_ext_len returns the length of an extension header; len: its second byte. */
static __always_inline __u32 walk_ext_len(__u8 proto, __u8 len)
{
	switch (proto) {
	case IPPROTO_FRAGMENT:
		return FS_EXT_LEN;
	case IPPROTO_AH:
		return (len + 2) * 4;
	}
	return (len + 1) * 8;
}

/* walk_ext moves past one extension header of IPv6 (RFC 8200 §4). */
static __always_inline enum fs_cause walk_ext(struct fs_walk *w, const __u8 *h)
{
	struct fs_packet *p = &w->pkt;
	enum fs_cause cause;
	__u32 frag, n;

	cause = walk_need(w, FS_EXT_LEN);
	if (cause)
		return cause;
	n = walk_ext_len(p->proto, h[1]);
	cause = walk_need(w, n);
	if (cause)
		return cause;
	if (p->proto == IPPROTO_FRAGMENT) {
		p->proto = h[0];
		frag = walk_u16(h + 2);
		if (frag & (FS_IP6_OFFSET | FS_IP6_MORE))
			walk_fragment(p, w->off + n, walk_u32(h + 4), frag & FS_IP6_OFFSET,
				      frag & FS_IP6_MORE);
	}
	p->proto = h[0];
	w->count++;
	w->off += n;
	return FS_DECODED;
}

/* walk_payload takes a header of n bytes, or all there is, off the payload. */
static __always_inline void walk_payload(struct fs_walk *w, __u32 n)
{
	struct fs_packet *p = &w->pkt;
	__u32 left = w->end - w->off;

	if (n > left)
		n = left;
	w->off += n;
	p->payload_len = w->end - w->off;
	p->payload_off = w->off < p->cap_len ? w->off : p->cap_len;
	p->payload_cap = p->cap_len - p->payload_off;
	if (p->payload_cap > p->payload_len)
		p->payload_cap = p->payload_len;
}

/* walk_ports reads the ports of a packet that must have at least n bytes of L4. */
static __always_inline enum fs_cause walk_ports(struct fs_walk *w, const __u8 *h, __u32 n)
{
	if (w->off + n > w->end)
		return FS_MALFORMED;
	if (!walk_has(w, 4))
		return FS_TRUNCATED;
	w->pkt.sport = walk_u16(h);
	w->pkt.dport = walk_u16(h + 2);
	return FS_DECODED;
}

static __always_inline enum fs_cause walk_tcp(struct fs_walk *w, const __u8 *h)
{
	struct fs_packet *p = &w->pkt;
	bool first = p->bits & FS_PKT_FRAG_FIRST;
	__u32 left = w->end - w->off, header;
	enum fs_cause cause;

	cause = walk_ports(w, h, first ? 4 : FS_TCP_MIN);
	if (cause)
		return cause;
	if (left < FS_TCP_MIN || !walk_has(w, FS_TCP_MIN)) {
		walk_payload(w, FS_TCP_MIN);
		return FS_DECODED;
	}
	header = (h[12] >> 4) * 4;
	if (header < FS_TCP_MIN || (header > left && !first))
		return FS_MALFORMED;
	walk_payload(w, header);
	if (header <= left) {	/* never with half a header */
		fs_tcp_fields(p, (const struct tcphdr *)h);
		p->tcp_optlen = p->payload_off - p->l4_off - FS_TCP_MIN;
	}
	return FS_DECODED;
}

/* walk_udp: a first fragment has the length of the whole datagram in it, UDP-Lite its
 * checksum coverage; neither is used.
 */
static __always_inline enum fs_cause walk_udp(struct fs_walk *w, const __u8 *h)
{
	struct fs_packet *p = &w->pkt;
	__u32 left = w->end - w->off, len;
	enum fs_cause cause;

	cause = walk_ports(w, h, FS_UDP_LEN);
	if (cause)
		return cause;
	if (p->proto == IPPROTO_UDP && !(p->bits & FS_PKT_FRAG) && walk_has(w, FS_UDP_LEN)) {
		len = walk_u16(h + 4);
		if (!len && w->no_len)
			len = left;
		if (len < FS_UDP_LEN || len > left)
			return FS_MALFORMED;
		w->end = w->off + len;
	}
	walk_payload(w, FS_UDP_LEN);
	return FS_DECODED;
}

static __always_inline enum fs_cause walk_icmp(struct fs_walk *w, const __u8 *h)
{
	enum fs_cause cause = walk_need(w, 4);

	if (cause)
		return cause;
	fs_icmp_fields(&w->pkt, h);
	walk_payload(w, FS_ICMP_LEN);
	return FS_DECODED;
}

static __always_inline enum fs_cause walk_sctp(struct fs_walk *w, const __u8 *h)
{
	enum fs_cause cause = walk_ports(w, h, 4);

	if (cause)
		return cause;
	walk_payload(w, FS_SCTP_LEN);
	return FS_DECODED;
}

static __always_inline bool walk_bad_fragment(const struct fs_walk *w)
{
	const struct fs_packet *p = &w->pkt;
	__u32 left = w->end - p->frag_start;

	if (!(p->bits & FS_PKT_FRAG))
		return false;
	return p->frag_off + left > FS_DATAGRAM_MAX ||
	       (p->bits & FS_PKT_FRAG_MORE && left % 8);
}

static __always_inline enum fs_cause walk_transport(struct fs_walk *w, const __u8 *h)
{
	if (walk_bad_fragment(w))
		return FS_MALFORMED;
	if (!(w->pkt.bits & FS_PKT_FRAG_LATER)) {
		switch (w->pkt.proto) {
		case IPPROTO_TCP:
			return walk_tcp(w, h);
		case IPPROTO_UDP:
		case IPPROTO_UDPLITE:
			return walk_udp(w, h);
		case IPPROTO_SCTP:
			return walk_sctp(w, h);
		case IPPROTO_ICMP:
		case IPPROTO_ICMPV6:
			return walk_icmp(w, h);
		}
	}
	walk_payload(w, 0);
	return FS_DECODED;
}

#endif
