/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* walk.h: the state of the walk, header by header, through a frame that is not plain,
 * and what its steps in link.h, inet.h and tunnel.h have in common. The rules are
 * those in the package comment of userspace/packet.
 *
 * All state is in struct fs_walk, in a per-CPU map: there is no room for it on the stack.
 *
 * A walk_ function that reads a header gets w and h, the captured bytes from w->off on.
 * It reads no byte of h that it has not asked for with walk_has or walk_holds, moves
 * w->off, says in w->header what comes next, and returns FS_DECODED or the cause why
 * the packet it is in cannot be decoded. Then the last packet outside that did decode
 * counts.
 */
#ifndef FS_WALK_H
#define FS_WALK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "config.h"
#include "packet.h"

#define FS_WINDOW	256
#define FS_HEADER_MAX	64	/* bytes of a header that are read */
#define FS_ETHERTYPE_MIN	1536	/* less is a length (IEEE 802.3) */

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

static __always_inline bool fs_decaps(enum fs_tunnel_kind kind)
{
	return fs_decap >> kind & 1;
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

#endif
