/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* decap.h: the walk, header by header, through frames that are not plain: more tags,
 * MPLS, PPPoE, extension headers, fragments, tunnels, other link types, headers
 * outside the linear part, and all that is cut or malformed. The rules are those
 * in the package comment of userspace/packet.
 *
 * fs_walk_xdp and fs_walk_skb keep a window of the frame filled; fs_walk_step, a
 * function of its own so that the verifier looks at it once, reads the headers in
 * it. All state is in struct fs_walk, in a per-CPU map: there is no room for it on
 * the stack.
 *
 * A walk_ function gets w and h, the captured bytes from w->off on. It reads no
 * byte of h that it has not asked for with walk_has or walk_holds, moves w->off,
 * says in w->header what comes next, and returns FS_DECODED or the cause why the
 * packet it is in cannot be decoded. Then the last packet outside that did decode
 * counts.
 */
#ifndef FS_DECAP_H
#define FS_DECAP_H

#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include "frame.h"
#include "l4.h"

#define FS_OFFSET_MAX	65535	/* where the kernel lets programs read */
#define FS_WINDOW	256
#define FS_HEADER_MAX	64	/* bytes of a header that are read */
#define FS_STEP_HEADERS	4

/* Headers a frame may have: at each of five levels Ethernet, IP, 8 extensions, L4, 17
 * for labels, 10 for GTP-U; and three tags. A turn reads one at least.
 */
#define FS_MAX_TURNS	208

#define FS_IP_FRAGMENT		0x3fff	/* more fragments, or an offset */
#define FS_IP_MORE		0x2000
#define FS_IP_OFFSET		0x1fff
#define FS_IP6_OFFSET		0xfff8
#define FS_IP6_MORE		0x0001
#define FS_DATAGRAM_MAX		65535

#define FS_ETHERTYPE_MIN	1536	/* less is a length (IEEE 802.3) */
#define FS_ETHERTYPE_OLD_QINQ	0x9100
#define FS_GPE_PORT		4790

#define FS_IPPROTO_HIP		139
#define FS_IPPROTO_SHIM6	140

#define FS_EXT_LEN		8
#define FS_SNAP_LEN		8
#define FS_PPPOE_LEN		6
#define FS_SLL_LEN		16
#define FS_SLL2_LEN		20
#define FS_FAMILY_LEN		4
#define FS_MPLS_LEN		4
#define FS_VXLAN_LEN		8
#define FS_GENEVE_LEN		8
#define FS_GTP_LEN		8
#define FS_GRE_LEN		4
#define FS_PPTP_LEN		12
#define FS_ERSPAN2_LEN		8
#define FS_ERSPAN3_LEN		12
#define FS_TEREDO_AUTH_LEN	4
#define FS_TEREDO_NONCE_LEN	9
#define FS_TEREDO_ORIGIN_LEN	8
#define FS_AYIYA_LEN		8

#define FS_GRE_CHECKSUM	0x8000
#define FS_GRE_ROUTING	0x4000
#define FS_GRE_KEY	0x2000
#define FS_GRE_SEQUENCE	0x1000
#define FS_GRE_ACK	0x0080	/* version 1 */
#define FS_GRE_VERSION	0x0007
#define FS_GRE_BRIDGED	0x6558
#define FS_GRE_ERSPAN2	0x88be	/* types I and II */
#define FS_GRE_ERSPAN3	0x22eb
#define FS_GRE_PPP	0x880b

#define FS_PPP_IPV4	0x0021
#define FS_PPP_IPV6	0x0057
#define FS_PPP_MPLS	0x0281
#define FS_PPP_MPLS_MUL	0x0283

struct fs_vlan {
	__be16	tci;
	__be16	type;
};

/* What lies at fs_walk.off. */
enum fs_header {
	FS_AT_END,		/* nothing to read: the packet is complete */
	FS_AT_LINK,
	FS_AT_ETHERNET,
	FS_AT_TYPE,		/* what the ethertype in fs_walk.type says */
	FS_AT_IP,		/* the version nibble says which */
	FS_AT_PROTO,		/* what the protocol of the packet says */
	FS_AT_MPLS,
	FS_AT_BELOW_MPLS,
	FS_AT_PPP,
	FS_AT_VXLAN,
	FS_AT_GENEVE,
	FS_AT_GTPU,
	FS_AT_GTP_EXT,
	FS_AT_GRE,
	FS_AT_ERSPAN,
	FS_AT_TEREDO,
	FS_AT_TEREDO_ORIGIN,
	FS_AT_AYIYA,
	FS_AT_FILLING_IPV6,	/* IPv6 that must fill the tunnel */
};

struct fs_walk {
	struct fs_packet	pkt;	/* being filled */
	struct fs_packet	done;	/* the innermost that decoded */
	struct fs_tunnels	tunnels;
	struct fs_tcp_options	options;	/* options.h */
	__u32	link_type;
	__u32	off;		/* of the next header */
	__u32	end;		/* of what it is in, on the wire */
	__u32	win_off;	/* the window: where in the frame, and how much of it */
	__u32	win_len;
	__u32	id;		/* of the tunnel being opened */
	__u16	type;		/* ethertype, in host order */
	__u8	header;		/* enum fs_header */
	__u8	decoded;	/* done is valid */
	__u8	count;		/* extension headers or labels in a row so far */
	__u8	no_len;		/* the IPv6 header gave no length */
	__u8	gpe;		/* VXLAN by the port of VXLAN-GPE */
	__u8	cause;		/* enum fs_cause, when the walk is over */
	__u8	window[FS_WINDOW];
};

/* key: the hook, value: its walk; one packet at a time uses it, since programs run
 * with softirqs off. Written and read by the parser.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct fs_walk);
} fs_walks SEC(".maps");

enum fs_hook {
	FS_HOOK_XDP,
	FS_HOOK_TC,
};

static __always_inline struct fs_walk *fs_walk_of(__u32 hook)
{
	return bpf_map_lookup_elem(&fs_walks, &hook);
}

static __always_inline __u32 fs_flow_label(const void *ipv6)
{
	return bpf_ntohl(*(const __be32 *)ipv6) & 0xfffff;
}

static __always_inline bool fs_decaps(enum fs_tunnel_kind kind)
{
	return fs_decap >> kind & 1;
}

/* fs_maybe_tunnel is the quick answer: false for most packets without a tunnel. */
static __always_inline bool fs_maybe_tunnel(const struct fs_packet *p)
{
	return (fs_tunnel_port_mask >> (p->dport & 63) | fs_tunnel_port_mask >> (p->sport & 63)) & 1;
}

/* fs_port_kind returns the kind of tunnel behind a UDP port, or FS_TUNNEL_NONE. */
__noinline int fs_port_kind(__u32 port)
{
	int i;

	if (!(fs_tunnel_port_mask >> (port & 63) & 1))
		return FS_TUNNEL_NONE;
	for (i = 0; i < FS_TUNNEL_PORTS; i++)
		if (fs_tunnel_ports[i].port == port)
			return fs_tunnel_ports[i].kind;
	return FS_TUNNEL_NONE;
}

static __always_inline __u16 walk_u16(const __u8 *h)
{
	return h[0] << 8 | h[1];
}

static __always_inline __u32 walk_u32(const __u8 *h)
{
	return (__u32)walk_u16(h) << 16 | walk_u16(h + 2);
}

/* walk_has says whether n bytes from w->off on were captured. */
static __always_inline bool walk_has(const struct fs_walk *w, __u32 n)
{
	return w->off + n <= w->pkt.cap_len;
}

/* walk_holds says whether they also lie in the tunnel. */
static __always_inline bool walk_holds(const struct fs_walk *w, __u32 n)
{
	return walk_has(w, n) && w->off + n <= w->end;
}

/* walk_need is the same for a header in an IP packet, as a cause. */
static __always_inline enum fs_cause walk_need(const struct fs_walk *w, __u32 n)
{
	if (w->off + n > w->end)
		return FS_MALFORMED;
	return walk_has(w, n) ? FS_DECODED : FS_TRUNCATED;
}

static __always_inline void walk_next(struct fs_walk *w, __u32 n, enum fs_header header)
{
	w->off += n;
	w->header = header;
}

static __always_inline void walk_next_type(struct fs_walk *w, __u32 n, __u16 type)
{
	walk_next(w, n, FS_AT_TYPE);
	w->type = type;
}

/* walk_carrier writes the addresses of the IP packet that carries a tunnel. */
static __always_inline void walk_carrier(struct fs_tunnel *t, const struct fs_packet *p)
{
	t->ip_version = p->ip_version;
	if (p->ip_version == 4) {
		__builtin_memset(t->src, 0, 10);
		__builtin_memset(t->dst, 0, 10);
		__builtin_memset(t->src + 10, 0xff, 2);
		__builtin_memset(t->dst + 10, 0xff, 2);
		__builtin_memcpy(t->src + 12, &p->src.v4, 4);
		__builtin_memcpy(t->dst + 12, &p->dst.v4, 4);
		return;
	}
	__builtin_memcpy(t->src, &p->src, sizeof(t->src));
	__builtin_memcpy(t->dst, &p->dst, sizeof(t->dst));
}

/* walk_push notes a layer of encapsulation. At the limit it refuses, so that the packet
 * stays at the level that carries it.
 */
static __always_inline enum fs_cause walk_push(struct fs_walk *w, __u8 kind, __u32 id, bool has_id)
{
	__u32 n = w->pkt.n_tunnels;
	struct fs_tunnel *t;

	if (n >= FS_MAX_TUNNELS) {
		w->done.bits |= FS_PKT_DECAP_DEPTH;
		return FS_MALFORMED;
	}
	t = &w->tunnels.layer[n];
	w->pkt.n_tunnels = n + 1;
	__builtin_memset(t, 0, sizeof(*t));
	t->kind = kind;
	t->id = id;
	t->has_id = has_id;
	if (w->decoded)
		walk_carrier(t, &w->done);
	return FS_DECODED;
}

/* walk_cooked reads a Linux cooked header of n bytes; type: of what follows, alen: length
 * of the address at mac_off.
 */
static __always_inline enum fs_cause walk_cooked(struct fs_walk *w, __u32 n, __u16 type, __u8 alen,
						 __u8 mac_off)
{
	if (alen == ETH_ALEN) {
		w->pkt.bits |= FS_PKT_SRC_MAC;
		w->pkt.src_mac_off = mac_off;
	}
	walk_next_type(w, n, type);
	return type < FS_ETHERTYPE_MIN ? FS_NOT_IP : FS_DECODED;
}

static __always_inline enum fs_cause walk_sll(struct fs_walk *w, const __u8 *h)
{
	if (!walk_has(w, FS_SLL_LEN))
		return FS_TRUNCATED;
	return walk_cooked(w, FS_SLL_LEN, walk_u16(h + 14), h[5], 6);
}

static __always_inline enum fs_cause walk_sll2(struct fs_walk *w, const __u8 *h)
{
	if (!walk_has(w, FS_SLL2_LEN))
		return FS_TRUNCATED;
	return walk_cooked(w, FS_SLL2_LEN, walk_u16(h), h[11], 12);
}

/* walk_family: BSD loopback. That of FS_LINK_NULL is in the byte order of the host
 * that wrote it: both are tried.
 */
static __always_inline enum fs_cause walk_family(struct fs_walk *w, const __u8 *h)
{
	__u32 family;

	if (!walk_has(w, FS_FAMILY_LEN))
		return FS_TRUNCATED;
	family = walk_u32(h);
	if (w->link_type == FS_LINK_NULL && family > 0xffff)
		family = __builtin_bswap32(family);
	switch (family) {
	case 2:
		walk_next_type(w, FS_FAMILY_LEN, ETH_P_IP);
		return FS_DECODED;
	case 10:
	case 24:
	case 28:
	case 30:
		walk_next_type(w, FS_FAMILY_LEN, ETH_P_IPV6);
		return FS_DECODED;
	}
	return FS_NOT_IP;
}

static __always_inline enum fs_cause walk_ethernet(struct fs_walk *w, const __u8 *h)
{
	if (!walk_has(w, ETH_HLEN))
		return FS_TRUNCATED;
	walk_next_type(w, ETH_HLEN, walk_u16(h + 12));
	return FS_DECODED;
}

static __always_inline enum fs_cause walk_link(struct fs_walk *w, const __u8 *h)
{
	switch (w->link_type) {
	case FS_LINK_ETHERNET:
		w->pkt.bits |= FS_PKT_SRC_MAC | FS_PKT_DST_MAC;
		w->pkt.src_mac_off = ETH_ALEN;
		return walk_ethernet(w, h);
	case FS_LINK_RAW:
	case FS_LINK_RAW_BSD:
	case FS_LINK_RAW_OPENBSD:
		w->header = FS_AT_IP;
		return FS_DECODED;
	case FS_LINK_IPV4:
		walk_next_type(w, 0, ETH_P_IP);
		return FS_DECODED;
	case FS_LINK_IPV6:
		walk_next_type(w, 0, ETH_P_IPV6);
		return FS_DECODED;
	case FS_LINK_NULL:
	case FS_LINK_LOOP:
		return walk_family(w, h);
	case FS_LINK_SLL:
		return walk_sll(w, h);
	case FS_LINK_SLL2:
		return walk_sll2(w, h);
	}
	return FS_LINK_TYPE;
}

static __always_inline enum fs_cause walk_vlan(struct fs_walk *w, const __u8 *h)
{
	__u32 n = w->pkt.n_vlans;

	if (!walk_has(w, sizeof(struct fs_vlan)))
		return FS_TRUNCATED;
	if (n >= FS_MAX_VLANS)
		return FS_MALFORMED;
	w->pkt.vlans[n] = walk_u16(h) & FS_VLAN_ID;
	w->pkt.n_vlans = n + 1;
	walk_next_type(w, sizeof(struct fs_vlan), walk_u16(h + 2));
	return FS_DECODED;
}

/* walk_snap takes an 802.3 frame whose SNAP header names IP. */
static __always_inline enum fs_cause walk_snap(struct fs_walk *w, const __u8 *h)
{
	__u16 type;

	if (w->type >= FS_ETHERTYPE_MIN || !walk_has(w, FS_SNAP_LEN))
		return FS_NOT_IP;
	if (walk_u32(h) != 0xaaaa0300 || walk_u16(h + 4))
		return FS_NOT_IP;
	type = walk_u16(h + 6);
	if (type != ETH_P_IP && type != ETH_P_IPV6)
		return FS_NOT_IP;
	walk_next_type(w, FS_SNAP_LEN, type);
	return FS_DECODED;
}

/* walk_mpls reads one label (RFC 3032). */
static __always_inline enum fs_cause walk_mpls(struct fs_walk *w, const __u8 *h)
{
	__u32 label;

	if (!fs_decaps(FS_TUNNEL_MPLS))
		return FS_NOT_IP;
	if (w->count++ >= FS_MAX_MPLS)
		return FS_MALFORMED;
	if (!walk_has(w, FS_MPLS_LEN))
		return FS_TRUNCATED;
	label = walk_u32(h);
	w->id = label >> 12;
	walk_next(w, FS_MPLS_LEN, label >> 8 & 1 ? FS_AT_BELOW_MPLS : FS_AT_MPLS);
	return FS_DECODED;
}

/* walk_below_mpls guesses by the first nibble (RFC 4928, RFC 4448). */
static __always_inline enum fs_cause walk_below_mpls(struct fs_walk *w, const __u8 *h)
{
	if (!walk_has(w, 1))
		return FS_TRUNCATED;
	switch (h[0] >> 4) {
	case 4:
		walk_next_type(w, 0, ETH_P_IP);
		break;
	case 6:
		walk_next_type(w, 0, ETH_P_IPV6);
		break;
	case 0:		/* control word */
		walk_next(w, 4, FS_AT_ETHERNET);
		break;
	default:
		w->header = FS_AT_ETHERNET;
	}
	return walk_push(w, FS_TUNNEL_MPLS, w->id, true);
}

static __always_inline enum fs_cause walk_pppoe(struct fs_walk *w, const __u8 *h)
{
	if (!fs_decaps(FS_TUNNEL_PPPOE))
		return FS_NOT_IP;
	if (!walk_has(w, FS_PPPOE_LEN))
		return FS_TRUNCATED;
	if (h[0] != 0x11 || h[1])	/* version and type 1, code 0: a session */
		return FS_NOT_IP;
	walk_next(w, FS_PPPOE_LEN, FS_AT_PPP);
	return walk_push(w, FS_TUNNEL_PPPOE, walk_u16(h + 2), true);
}

/* walk_ppp reads a protocol number of one or two bytes (RFC 1661). */
static __always_inline enum fs_cause walk_ppp(struct fs_walk *w, const __u8 *h)
{
	__u32 n = 1;
	__u16 proto;

	if (!walk_has(w, 2))
		return FS_TRUNCATED;
	proto = h[0];
	if (!(proto & 1)) {
		n = 2;
		proto = walk_u16(h);
	}
	switch (proto) {
	case FS_PPP_IPV4:
		walk_next_type(w, n, ETH_P_IP);
		return FS_DECODED;
	case FS_PPP_IPV6:
		walk_next_type(w, n, ETH_P_IPV6);
		return FS_DECODED;
	case FS_PPP_MPLS:
	case FS_PPP_MPLS_MUL:
		walk_next_type(w, n, ETH_P_MPLS_UC);
		return FS_DECODED;
	}
	return FS_NOT_IP;
}

/* walk_ip_begins forgets what an outer packet had. room: bytes up to the end of what
 * the header is in.
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

static __always_inline enum fs_cause walk_type(struct fs_walk *w, const __u8 *h)
{
	switch (w->type) {
	case ETH_P_IP:
		return walk_ipv4(w, h);
	case ETH_P_IPV6:
		return walk_ipv6(w, h);
	case ETH_P_8021Q:
	case ETH_P_8021AD:
	case FS_ETHERTYPE_OLD_QINQ:
		return walk_vlan(w, h);
	case ETH_P_MPLS_UC:
	case ETH_P_MPLS_MC:
		w->count = 0;
		return walk_mpls(w, h);
	case ETH_P_PPP_SES:
		return walk_pppoe(w, h);
	}
	return walk_snap(w, h);
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

static __always_inline enum fs_header walk_udp_tunnel(struct fs_walk *w)
{
	int kind = fs_port_kind(w->pkt.dport);

	w->gpe = w->pkt.dport == FS_GPE_PORT;
	if (kind == FS_TUNNEL_NONE) {
		kind = fs_port_kind(w->pkt.sport);
		w->gpe |= w->pkt.sport == FS_GPE_PORT;
	}
	switch (kind) {
	case FS_TUNNEL_VXLAN:
		return FS_AT_VXLAN;
	case FS_TUNNEL_GENEVE:
		return FS_AT_GENEVE;
	case FS_TUNNEL_GTPU:
		return FS_AT_GTPU;
	case FS_TUNNEL_MPLS:
		return FS_AT_MPLS;
	case FS_TUNNEL_TEREDO:
		return FS_AT_TEREDO;
	case FS_TUNNEL_AYIYA:
		return FS_AT_AYIYA;
	}
	return FS_AT_END;
}

/* walk_ipip: RFC 2003, RFC 2473, RFC 4213. */
static __always_inline enum fs_cause walk_ipip(struct fs_walk *w, __u16 type)
{
	if (!fs_decaps(FS_TUNNEL_IPIP))
		return FS_DECODED;
	walk_next_type(w, 0, type);
	return walk_push(w, FS_TUNNEL_IPIP, 0, false);
}

/* walk_open says which tunnel header follows a packet that is complete, if any. No
 * fragment is searched for a tunnel.
 */
static __always_inline enum fs_cause walk_open(struct fs_walk *w)
{
	w->header = FS_AT_END;
	w->count = 0;
	if (w->pkt.bits & FS_PKT_FRAG)
		return FS_DECODED;
	switch (w->pkt.proto) {
	case IPPROTO_UDP:
		w->header = walk_udp_tunnel(w);
		return FS_DECODED;
	case IPPROTO_GRE:
		w->header = FS_AT_GRE;
		return FS_DECODED;
	case IPPROTO_IPIP:
		return walk_ipip(w, ETH_P_IP);
	case IPPROTO_IPV6:
		return walk_ipip(w, ETH_P_IPV6);
	}
	return FS_DECODED;
}

/* walk_proto reads an extension header, or else the L4 header and with it completes
 * the packet at this level.
 */
static __always_inline enum fs_cause walk_proto(struct fs_walk *w, const __u8 *h)
{
	struct fs_packet *p = &w->pkt;
	enum fs_cause cause;

	if (w->count < FS_MAX_EXT && !(p->bits & FS_PKT_FRAG_LATER) && walk_is_ext(p->proto))
		return walk_ext(w, h);
	p->l4_off = w->off;
	if (w->end > p->cap_len)
		p->bits |= FS_PKT_CUT;
	cause = walk_transport(w, h);
	if (cause)
		return cause;
	__builtin_memcpy(&w->done, p, sizeof(w->done));
	w->decoded = 1;
	return walk_open(w);
}

/* walk_vxlan: RFC 7348, and VXLAN-GPE on its own port (draft-ietf-nvo3-vxlan-gpe),
 * which names what it carries if its P flag is set.
 */
static __always_inline enum fs_cause walk_vxlan(struct fs_walk *w, const __u8 *h)
{
	if (!walk_holds(w, FS_VXLAN_LEN) || !(h[0] & 0x08))
		return FS_MALFORMED;
	switch (w->gpe && h[0] & 0x04 ? h[3] : 3) {
	case 1:
		walk_next_type(w, FS_VXLAN_LEN, ETH_P_IP);
		break;
	case 2:
		walk_next_type(w, FS_VXLAN_LEN, ETH_P_IPV6);
		break;
	case 3:
		walk_next(w, FS_VXLAN_LEN, FS_AT_ETHERNET);
		break;
	case 5:
		walk_next_type(w, FS_VXLAN_LEN, ETH_P_MPLS_UC);
		break;
	default:
		return FS_MALFORMED;
	}
	return walk_push(w, FS_TUNNEL_VXLAN, walk_u32(h + 4) >> 8, true);
}

/* walk_carried continues with what a tunnel header names by an ethertype. */
static __always_inline void walk_carried(struct fs_walk *w, __u32 n, __u16 type)
{
	if (type == FS_GRE_BRIDGED)
		walk_next(w, n, FS_AT_ETHERNET);
	else
		walk_next_type(w, n, type);
}

/* walk_geneve: RFC 8926. */
static __always_inline enum fs_cause walk_geneve(struct fs_walk *w, const __u8 *h)
{
	__u32 n;
	__u16 type;

	if (!walk_holds(w, FS_GENEVE_LEN) || h[0] >> 6)
		return FS_MALFORMED;
	n = FS_GENEVE_LEN + (h[0] & 0x3f) * 4;
	type = walk_u16(h + 2);
	if (!walk_holds(w, n))
		return FS_MALFORMED;
	if (type != FS_GRE_BRIDGED && type != ETH_P_IP && type != ETH_P_IPV6)
		return FS_MALFORMED;
	walk_carried(w, n, type);
	return walk_push(w, FS_TUNNEL_GENEVE, walk_u32(h + 4) >> 8, true);
}

/* walk_gtpu: a G-PDU of GTP version 1 (3GPP TS 29.281 §5). */
static __always_inline enum fs_cause walk_gtpu(struct fs_walk *w, const __u8 *h)
{
	__u32 n = FS_GTP_LEN;

	if (!walk_holds(w, n) || h[0] >> 4 != 3 || h[1] != 255)
		return FS_MALFORMED;
	if (h[0] & 7)
		n += 4;
	if (!walk_holds(w, n))
		return FS_MALFORMED;
	if (h[0] & 4)	/* go on at the type of the first extension header */
		walk_next(w, n - 1, FS_AT_GTP_EXT);
	else
		walk_next(w, n, FS_AT_IP);
	return walk_push(w, FS_TUNNEL_GTPU, walk_u32(h + 4), true);
}

/* walk_gtp_ext reads the type of an extension header, the last byte before it, and its
 * length, the first byte of it.
 */
static __always_inline enum fs_cause walk_gtp_ext(struct fs_walk *w, const __u8 *h)
{
	if (!walk_holds(w, 1))
		return FS_MALFORMED;
	if (!h[0]) {
		walk_next(w, 1, FS_AT_IP);
		return FS_DECODED;
	}
	if (!walk_holds(w, 2) || !h[1] || w->count++ >= FS_MAX_GTP_EXT)
		return FS_MALFORMED;
	w->off += h[1] * 4;
	return FS_DECODED;
}

/* walk_gre0: version 0 (RFC 2784, RFC 2890) with NVGRE (RFC 7637). */
static __always_inline enum fs_cause walk_gre0(struct fs_walk *w, const __u8 *h)
{
	__u16 flags = walk_u16(h), type = walk_u16(h + 2);
	__u32 n = FS_GRE_LEN, id = 0;

	if (flags & FS_GRE_CHECKSUM)
		n += 4;
	if (flags & FS_GRE_KEY)
		n += 4;
	if (flags & FS_GRE_SEQUENCE)
		n += 4;
	if (flags & FS_GRE_ROUTING || !walk_holds(w, n))
		return FS_MALFORMED;
	if (flags & FS_GRE_KEY)
		id = walk_u32(flags & FS_GRE_CHECKSUM ? h + 8 : h + 4);
	switch (type) {
	case FS_GRE_ERSPAN2:
	case FS_GRE_ERSPAN3:
		w->type = type;
		w->count = !!(flags & FS_GRE_SEQUENCE);
		walk_next(w, n, FS_AT_ERSPAN);
		return FS_DECODED;
	case FS_GRE_PPP:
		walk_next(w, n, FS_AT_PPP);
		break;
	case FS_GRE_BRIDGED:
		id >>= 8;	/* 24 bits of network, 8 of flow */
		walk_next(w, n, FS_AT_ETHERNET);
		break;
	case ETH_P_IP:
	case ETH_P_IPV6:
	case ETH_P_MPLS_UC:
	case ETH_P_MPLS_MC:
	case ETH_P_8021Q:
	case ETH_P_8021AD:
	case FS_ETHERTYPE_OLD_QINQ:
		walk_next_type(w, n, type);
		break;
	default:
		return FS_MALFORMED;
	}
	if (!fs_decaps(FS_TUNNEL_GRE))
		return FS_MALFORMED;
	return walk_push(w, FS_TUNNEL_GRE, id, flags & FS_GRE_KEY);
}

/* walk_pptp: version 1 (RFC 2637) with a PPP frame in it, perhaps after the address
 * and control bytes of HDLC. Encrypted or compressed ones have another PPP protocol.
 */
static __always_inline enum fs_cause walk_pptp(struct fs_walk *w, const __u8 *h)
{
	__u16 flags = walk_u16(h);
	__u32 n = FS_PPTP_LEN;
	const __u8 *ppp = h + FS_PPTP_LEN;

	if (walk_u16(h + 2) != FS_GRE_PPP || !(flags & FS_GRE_KEY) || !(flags & FS_GRE_SEQUENCE))
		return FS_MALFORMED;
	if (!fs_decaps(FS_TUNNEL_PPTP) || !walk_holds(w, 8))
		return FS_MALFORMED;
	if (flags & FS_GRE_ACK) {
		n += 4;
		ppp += 4;
	}
	if (walk_holds(w, n + 2) && ppp[0] == 0xff && ppp[1] == 0x03)
		n += 2;
	walk_next(w, n, FS_AT_PPP);
	return walk_push(w, FS_TUNNEL_PPTP, walk_u16(h + 6), true);
}

static __always_inline enum fs_cause walk_gre(struct fs_walk *w, const __u8 *h)
{
	if (!walk_holds(w, FS_GRE_LEN))
		return FS_MALFORMED;
	switch (walk_u16(h) & FS_GRE_VERSION) {
	case 0:
		return walk_gre0(w, h);
	case 1:
		return walk_pptp(w, h);
	}
	return FS_MALFORMED;
}

/* walk_erspan: draft-foschiano-erspan. Type I, without a sequence number, has no
 * header of its own.
 */
static __always_inline enum fs_cause walk_erspan(struct fs_walk *w, const __u8 *h)
{
	bool three = w->type == FS_GRE_ERSPAN3;
	__u32 n = three ? FS_ERSPAN3_LEN : FS_ERSPAN2_LEN;

	if (!fs_decaps(FS_TUNNEL_ERSPAN))
		return FS_MALFORMED;
	w->header = FS_AT_ETHERNET;
	if (!three && !w->count)
		return walk_push(w, FS_TUNNEL_ERSPAN, 0, false);
	if (!walk_holds(w, n) || h[0] >> 4 != (three ? 2 : 1))
		return FS_MALFORMED;
	if (three && h[11] & 1)		/* an optional subheader follows */
		n += 8;
	w->off += n;
	return walk_push(w, FS_TUNNEL_ERSPAN, walk_u16(h + 2) & 0x3ff, true);
}

/* walk_teredo: RFC 4380 §5.1.1, perhaps an authentication header first. */
static __always_inline enum fs_cause walk_teredo(struct fs_walk *w, const __u8 *h)
{
	w->type = FS_TUNNEL_TEREDO;
	w->header = FS_AT_TEREDO_ORIGIN;
	if (walk_holds(w, FS_TEREDO_AUTH_LEN) && h[0] == 0 && h[1] == 1)
		w->off += FS_TEREDO_AUTH_LEN + h[2] + h[3] + FS_TEREDO_NONCE_LEN;
	return FS_DECODED;
}

static __always_inline enum fs_cause walk_teredo_origin(struct fs_walk *w, const __u8 *h)
{
	w->header = FS_AT_FILLING_IPV6;
	if (walk_holds(w, FS_TEREDO_ORIGIN_LEN) && h[0] == 0 && h[1] == 0)
		w->off += FS_TEREDO_ORIGIN_LEN;
	return FS_DECODED;
}

/* walk_ayiya: draft-massar-v6ops-ayiya; only the opcode "forward" with IPv6 in it. */
static __always_inline enum fs_cause walk_ayiya(struct fs_walk *w, const __u8 *h)
{
	if (!walk_holds(w, FS_AYIYA_LEN) || (h[2] & 15) != 1 || h[3] != IPPROTO_IPV6)
		return FS_MALFORMED;
	w->type = FS_TUNNEL_AYIYA;
	walk_next(w, FS_AYIYA_LEN + (1 << (h[0] >> 4)) + (h[1] >> 4) * 4, FS_AT_FILLING_IPV6);
	return FS_DECODED;
}

/* walk_filling_ipv6 wants IPv6 that fills the tunnel to its end: here a port is all
 * that speaks for one.
 */
static __always_inline enum fs_cause walk_filling_ipv6(struct fs_walk *w, const __u8 *h)
{
	__u8 kind = w->type;

	if (!walk_holds(w, sizeof(struct ipv6hdr)) || h[0] >> 4 != 6)
		return FS_MALFORMED;
	if (w->off + sizeof(struct ipv6hdr) + walk_u16(h + 4) != w->end)
		return FS_MALFORMED;
	walk_next_type(w, 0, ETH_P_IPV6);
	return walk_push(w, kind, 0, false);
}

static __always_inline enum fs_cause walk_header(struct fs_walk *w, const __u8 *h)
{
	switch (w->header) {
	case FS_AT_LINK:		return walk_link(w, h);
	case FS_AT_ETHERNET:		return walk_ethernet(w, h);
	case FS_AT_TYPE:		return walk_type(w, h);
	case FS_AT_IP:			return walk_ip(w, h);
	case FS_AT_PROTO:		return walk_proto(w, h);
	case FS_AT_MPLS:		return walk_mpls(w, h);
	case FS_AT_BELOW_MPLS:		return walk_below_mpls(w, h);
	case FS_AT_PPP:			return walk_ppp(w, h);
	case FS_AT_VXLAN:		return walk_vxlan(w, h);
	case FS_AT_GENEVE:		return walk_geneve(w, h);
	case FS_AT_GTPU:		return walk_gtpu(w, h);
	case FS_AT_GTP_EXT:		return walk_gtp_ext(w, h);
	case FS_AT_GRE:			return walk_gre(w, h);
	case FS_AT_ERSPAN:		return walk_erspan(w, h);
	case FS_AT_TEREDO:		return walk_teredo(w, h);
	case FS_AT_TEREDO_ORIGIN:	return walk_teredo_origin(w, h);
	case FS_AT_AYIYA:		return walk_ayiya(w, h);
	case FS_AT_FILLING_IPV6:	return walk_filling_ipv6(w, h);
	}
	return FS_MALFORMED;
}

/* walk_outside says whether the next header, or a captured part of it, is outside the
 * window.
 */
static __always_inline bool walk_outside(const struct fs_walk *w)
{
	__u32 n = w->pkt.cap_len - w->off;

	if (w->off >= w->pkt.cap_len)
		return false;
	if (n > FS_HEADER_MAX)
		n = FS_HEADER_MAX;
	return !w->win_len || w->off - w->win_off > FS_WINDOW - FS_HEADER_MAX ||
	       w->off + n > w->win_off + w->win_len;
}

/* walk_at returns where in the window the next header is. Behind the captured bytes any
 * place will do: none of them is read.
 */
static __always_inline const __u8 *walk_at(const struct fs_walk *w)
{
	__u32 pos = w->off - w->win_off;

	if (w->off < w->win_off || pos > FS_WINDOW - FS_HEADER_MAX)
		pos = 0;
	return w->window + pos;
}

/* fs_walk_step reads a few headers, as long as they are in the window, and returns
 * whether there is another one. Nothing but w may live in a register from one to
 * the next, so that all ways through a header look the same to the verifier.
 */
__noinline int fs_walk_step(struct fs_walk *w)
{
	int i;

	if (!w)
		return 0;
	for (i = 0; i < FS_STEP_HEADERS; i++) {
		if (walk_outside(w))
			return 1;
		w->cause = walk_header(w, walk_at(w));
		if (w->cause || w->header == FS_AT_END)
			return 0;
		asm volatile("" ::: "memory");
	}
	return 1;
}

/* walk_wanted moves the window to the next header if it is outside, and returns how many
 * bytes to load into it, or 0.
 */
static __always_inline __u32 walk_wanted(struct fs_walk *w)
{
	__u32 n = w->pkt.cap_len - w->off;

	if (!walk_outside(w))
		return 0;
	w->win_off = w->off;
	w->win_len = n < FS_WINDOW ? n : FS_WINDOW;
	return w->win_len;
}

/* walk_begin hands the frame to the walk. */
static __always_inline void walk_begin(struct fs_walk *w, const struct fs_frame *f,
				       const struct fs_packet *p)
{
	__builtin_memset(&w->pkt, 0, sizeof(w->pkt));
	w->pkt.time = p->time;
	w->pkt.wire_len = p->wire_len;
	w->pkt.cap_len = p->cap_len;
	w->pkt.segs = p->segs;
	w->pkt.vlans[0] = f->vlan;
	w->pkt.n_vlans = f->has_vlan;
	w->link_type = f->link_type;
	w->header = FS_AT_LINK;
	w->off = 0;
	w->end = p->wire_len;
	w->win_len = 0;
	w->decoded = 0;
	w->cause = FS_DECODED;
}

/* walk_result: the innermost packet that decoded counts, whatever was inside. */
static __always_inline enum fs_cause walk_result(const struct fs_walk *w)
{
	if (w->decoded)
		return FS_DECODED;
	return w->cause ? w->cause : FS_MALFORMED;
}

#endif
