/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* line.h: what is done with the lines of a flow once table.h has found them. */
#ifndef FS_LINE_H
#define FS_LINE_H

#include "key.h"
#include "tcp.h"

/* Where a packet's flow is, and what is new with the packet. */
struct fs_spot {
	__u64	last;		/* time of the packet before it, in its direction */
	__u64	rtt;		/* a sample that the cold part has no room for */
	__u32	slot;		/* enum fs_slot */
	__u32	replaces;	/* the flow whose tuple it reuses: slot, */
	__u32	replaces_generation;
	__u32	dir;
	bool	fresh;		/* this packet claimed the place */
	bool	first;		/* ... is the first of its direction */
	bool	payload;	/* ... has the first payload of its direction */
	__u8	pad[5];
};

/* The lines of a place, from the packet in hand. */
struct fs_lines {
	struct fs_counts	*own;	/* of the packet's direction */
	struct fs_counts	*peer;
};

static __always_inline __u8 fs_first_control(const struct fs_packet *p)
{
	if (p->proto == IPPROTO_TCP)
		return fs_control_tcp;
	if (p->proto == IPPROTO_UDP || p->proto == IPPROTO_UDPLITE)
		return fs_control_udp;
	return FS_CTL_NO_PAYLOAD | FS_CTL_QUIET;
}

/* fs_add adds the packet to its flow. It is false when the place has been given up
 * meanwhile, and then nothing was added.
 */
static __always_inline bool fs_add(struct fs_lines *l, const struct fs_packet *p, struct fs_spot *at)
{
	struct fs_counts *c = l->own;
	__u64 before = __sync_fetch_and_add(&c->packets, p->segs);

	if (before & FS_DEAD) {
		__sync_fetch_and_sub(&c->packets, p->segs);
		return false;
	}
	__sync_fetch_and_add(&c->bytes, p->wire_len);
	__sync_fetch_and_add(&c->ip_bytes, p->ip_len);
	at->first = !before;
	at->payload = p->payload_len && !__sync_fetch_and_add(&c->payload_bytes, p->payload_len);
	at->last = c->last;
	return true;
}

/* fs_retire gives a place up. */
static __always_inline void fs_retire(struct fs_lines *l)
{
	__sync_fetch_and_or(&l->own->packets, FS_DEAD);
	__sync_fetch_and_or(&l->peer->packets, FS_DEAD);
}

#endif
