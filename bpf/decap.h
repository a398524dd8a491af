/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* decap.h: the walk through frames that are not plain: more tags, MPLS, PPPoE, extension
 * headers, fragments, tunnels, other link types, headers outside the linear part, and
 * all that is cut or malformed.
 *
 * fs_walk_xdp and fs_walk_skb (parse.h) keep a window of the frame filled; fs_walk_step, a
 * function of its own so that the verifier looks at it once, reads the headers in it.
 */
#ifndef FS_DECAP_H
#define FS_DECAP_H

#include "frame.h"
#include "inet.h"
#include "link.h"
#include "tunnel.h"
#include "walk.h"

#define FS_OFFSET_MAX	65535	/* where the kernel lets programs read */
#define FS_STEP_HEADERS	4

/* Headers a frame may have: at each of five levels Ethernet, IP, 8 extensions, L4, 17
 * for labels, 10 for GTP-U; and three tags. A turn reads one at least.
 */
#define FS_MAX_TURNS	208

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
