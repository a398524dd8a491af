/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* spill.h: the account of flows that found no place in the table. */
#ifndef FS_SPILL_H
#define FS_SPILL_H

#include "emit.h"
#include "frag.h"
#include "table.h"

/* spill_open makes the account of a flow. Another CPU may have made it first: then that
 * one is used.
 */
static __always_inline struct fs_spill *spill_open(void *map, const struct fs_flow_key *key)
{
	struct fs_spill none = {};

	bpf_map_update_elem(map, key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, key);
}

/* spill_seen takes over what is not a sum; each is of one packet, and near enough when
 * two CPUs meet.
 */
static __always_inline void spill_seen(struct fs_spill_side *s, const struct fs_packet *p, bool first)
{
	if (first || (__s64)p->time < (__s64)s->first)
		s->first = p->time;
	if (first || (__s64)p->time > (__s64)s->last)
		s->last = p->time;
	if (first || p->ttl < s->ttl_min)
		s->ttl_min = p->ttl;
	if (p->ttl > s->ttl_max)
		s->ttl_max = p->ttl;
	s->tcp_flags |= p->tcp_flags;
}

static __always_inline void spill_add(struct fs_spill_side *s, const struct fs_packet *p)
{
	spill_seen(s, p, !__sync_fetch_and_add(&s->packets, p->segs));
	__sync_fetch_and_add(&s->bytes, p->wire_len);
	__sync_fetch_and_add(&s->ip_bytes, p->ip_len);
	__sync_fetch_and_add(&s->payload_bytes, p->payload_len);
}

/* spill_waited adds the fragments that came before this one, the first of its datagram. */
static __always_inline void spill_waited(struct fs_spill_side *s, const struct fs_waiting *w)
{
	__sync_fetch_and_add(&s->packets, w->packets);
	__sync_fetch_and_add(&s->bytes, w->bytes);
	__sync_fetch_and_add(&s->ip_bytes, w->ip_bytes);
	__sync_fetch_and_add(&s->payload_bytes, w->payload_bytes);
	if ((__s64)w->first < (__s64)s->first)
		s->first = w->first;
	if ((__s64)w->last > (__s64)s->last)
		s->last = w->last;
	fs_count(FS_COUNT_TRACKED, w->packets, w->bytes);
	fs_count(FS_COUNT_SPILLED, w->packets, w->bytes);
}

/* fs_spill_add adds the packet, and what waited for it, to its flow's account; waited
 * may be NULL. It is false when there is no room for
 * one more. It is a global function so that the verifier looks at it once.
 */
__noinline int fs_spill_add(const struct fs_packet *p, const struct fs_key *k,
			   const struct fs_waiting *waited)
{
	struct fs_flow_key key;
	struct fs_spill *account;
	__u32 zero = 0;
	void *map = bpf_map_lookup_elem(&spill, &zero);

	if (!p || !k || !map)
		return false;
	fs_export_key(&key, p, k);
	account = bpf_map_lookup_elem(map, &key);
	if (!account)
		account = spill_open(map, &key);
	if (!account)
		return false;
	spill_add(&account->dir[k->dir & 1], p);
	if (waited && waited->packets)
		spill_waited(&account->dir[k->dir & 1], waited);
	fs_count(FS_COUNT_SPILLED, p->segs, p->wire_len);
	return true;
}

#endif
