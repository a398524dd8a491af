/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tunnel.h: what carries a packet inside another one (SEMANTICS 2.5). */
#ifndef FS_TUNNEL_H
#define FS_TUNNEL_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include "link.h"
#include "walk.h"

#define FS_GPE_PORT		4790

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

#endif
