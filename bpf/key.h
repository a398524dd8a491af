/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* key.h: which flow a packet is of, and in which direction. */
#ifndef FS_KEY_H
#define FS_KEY_H

#include <bpf/bpf_endian.h>
#include <stdbool.h>
#include "config.h"
#include "context.h"
#include "packet.h"

/* A packet's flow. id lacks the state; addresses as they lie in a line, those of
 * IPv4 both in lo[0].
 */
struct fs_key {
	__u64	id;
	__u64	lo[2];
	__u64	hi[2];
	__u64	hash;
	__u32	dir;		/* of the packet: 0 from the lower endpoint */
	__u32	worker;
};

static __always_inline __u64 fs_mix(__u64 a, __u64 b)
{
	__u64 h = (a ^ 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;

	h ^= h >> 32;
	h = (h ^ b) * 0xc4ceb9fe1a85ec53ULL;
	return h ^ h >> 29;
}

/* key_context is what the key has besides the tuple, cut to the bits a line has for it. */
static __always_inline __u32 key_context(const struct fs_packet *p, const struct fs_tunnels *t)
{
	__u32 h = fs_packet_context(p, fs_key_vlan, fs_key_tunnel ? t : NULL);

	return (h ^ h >> 22) & FS_ID_CONTEXT_MASK;
}

/* addr_order is below 0 when a comes before b, above 0 after it. */
static __always_inline int addr_order(const union fs_addr *a, const union fs_addr *b)
{
	__u64 x = bpf_be64_to_cpu(a->q[0]), y = bpf_be64_to_cpu(b->q[0]);

	if (x == y) {
		x = bpf_be64_to_cpu(a->q[1]);
		y = bpf_be64_to_cpu(b->q[1]);
	}
	return x < y ? -1 : x > y;
}

static __always_inline __u64 fs_id_word(const struct fs_packet *p, __u32 context, __u16 lo, __u16 hi)
{
	return (__u64)hi << FS_ID_HI_PORT_SHIFT | (__u64)lo << FS_ID_LO_PORT_SHIFT |
	       (__u64)p->proto << FS_ID_PROTO_SHIFT | (__u64)context << FS_ID_CONTEXT_SHIFT;
}

/* fs_key_of puts the endpoints in order: by address, then by port. */
static __always_inline void fs_key_of(const struct fs_packet *p, const struct fs_tunnels *t,
				      struct fs_key *k)
{
	const union fs_addr *lo = &p->src, *hi = &p->dst;
	int order = addr_order(lo, hi);
	__u32 context = 0;

	if (fs_key_vlan || fs_key_tunnel)
		context = key_context(p, t);
	k->dir = order > 0 || (!order && p->sport > p->dport);
	if (k->dir) {
		lo = &p->dst;
		hi = &p->src;
	}
	k->id = k->dir ? fs_id_word(p, context, p->dport, p->sport)
		       : fs_id_word(p, context, p->sport, p->dport);
	if (p->ip_version == 4) {
		k->lo[0] = (__u64)hi->v4 << 32 | lo->v4;	/* as in struct fs_line4 */
		k->hash = fs_mix(k->lo[0] ^ fs_seed, k->id);
	} else {
		k->lo[0] = lo->q[0];
		k->lo[1] = lo->q[1];
		k->hi[0] = hi->q[0];
		k->hi[1] = hi->q[1];
		k->hash = fs_mix(fs_mix(k->lo[0] ^ fs_seed, k->lo[1]),
				 fs_mix(k->hi[0], k->hi[1]) ^ k->id);
	}
	k->worker = (k->hash >> 32) * fs_workers >> 32;
}

#endif
