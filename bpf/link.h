/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link.h: what lies in front of an IP header: link headers, tags, MPLS, PPPoE. */
#ifndef FS_LINK_H
#define FS_LINK_H

#include <linux/if_ether.h>
#include "frame.h"
#include "walk.h"

#define FS_ETHERTYPE_OLD_QINQ	0x9100

#define FS_SNAP_LEN		8
#define FS_PPPOE_LEN		6
#define FS_SLL_LEN		16
#define FS_SLL2_LEN		20
#define FS_FAMILY_LEN		4
#define FS_MPLS_LEN		4

#define FS_PPP_IPV4	0x0021
#define FS_PPP_IPV6	0x0057
#define FS_PPP_MPLS	0x0281
#define FS_PPP_MPLS_MUL	0x0283

struct fs_vlan {
	__be16	tci;
	__be16	type;
};

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

#endif
