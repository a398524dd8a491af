/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* context.h: what tells overlapping address plans apart, for keys that ask for it
 * (SEMANTICS 2.2); the same hash as in userspace/packet.
 */
#ifndef FS_CONTEXT_H
#define FS_CONTEXT_H

#include "packet.h"

#define FS_FNV_BASIS	2166136261U
#define FS_FNV_PRIME	16777619U

static __always_inline __u32 fnv_word(__u32 hash, __u32 word)
{
	return (hash ^ word) * FS_FNV_PRIME;
}

/* fs_packet_context hashes VLAN ids and, unless tunnels is NULL, kinds and ids of tunnels, word
 * by word. It is 0 when the packet has none of what is asked for.
 */
static __always_inline __u32 fs_packet_context(const struct fs_packet *p, bool vlans,
					       const struct fs_tunnels *tunnels)
{
	__u32 hash = FS_FNV_BASIS;
	int i;

	if (vlans && p->n_vlans) {
		hash = fnv_word(hash, p->n_vlans);
		for (i = 0; i < FS_MAX_VLANS && i < p->n_vlans; i++)
			hash = fnv_word(hash, p->vlans[i]);
	}
	for (i = 0; tunnels && i < FS_MAX_TUNNELS && i < p->n_tunnels; i++) {
		hash = fnv_word(hash, tunnels->layer[i].kind);
		hash = fnv_word(hash, tunnels->layer[i].id);
	}
	return hash == FS_FNV_BASIS ? 0 : hash;
}

#endif
