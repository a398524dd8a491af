/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* hash_table.h: the functions of table.h over plain preallocated hash maps. Not part of
 * the product: tests/bench compares the two.
 *
 * The key is the beginning of struct fs_key: identity word and addresses. A value has
 * counts and cold part of a flow side by side. What table.h finds again by its slot is
 * found here by the key of the packet in hand.
 */
#ifndef FS_TABLE_H
#define FS_TABLE_H

#include "../line.h"
#include "../maps.h"

struct hash_flow {
	struct fs_counts	dir[2];
	struct fs_cold		cold;
};

struct hash_key4 {
	__u64	id;
	__u64	addrs;
};

struct hash_key6 {
	__u64	id;
	__u64	lo[2];
	__u64	hi[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct hash_key4);
	__type(value, struct hash_flow);
} hash4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct hash_key6);
	__type(value, struct hash_flow);
} hash6 SEC(".maps");

/* What the packet in hand needs again, and a flow to begin with. */
struct hash_hand {
	struct fs_key		key;
	struct hash_flow	fresh;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hash_hand);
} hash_hands SEC(".maps");

static __always_inline struct hash_hand *hash_hand(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&hash_hands, &zero);
}

static __always_inline struct hash_flow *hash_get(const struct fs_key *k, bool six)
{
	if (six)
		return bpf_map_lookup_elem(&hash6, k);
	return bpf_map_lookup_elem(&hash4, k);
}

static __always_inline struct hash_flow *hash_put(const struct fs_key *k, struct hash_flow *f, bool six)
{
	if (six)
		bpf_map_update_elem(&hash6, k, f, BPF_NOEXIST);
	else
		bpf_map_update_elem(&hash4, k, f, BPF_NOEXIST);
	return hash_get(k, six);
}

static __always_inline void hash_delete(const struct fs_key *k, bool six)
{
	if (six)
		bpf_map_delete_elem(&hash6, k);
	else
		bpf_map_delete_elem(&hash4, k);
}

static __always_inline struct hash_flow *hash_again(__u32 slot)
{
	struct hash_hand *h = hash_hand();

	return h ? hash_get(&h->key, slot & FS_SLOT_IPV6) : NULL;
}

static __always_inline struct fs_cold *fs_cold_of(__u32 slot)
{
	struct hash_flow *f = hash_again(slot);

	return f ? &f->cold : NULL;
}

static __always_inline bool fs_lines_of(const struct fs_spot *at, struct fs_lines *l)
{
	struct hash_flow *f = hash_again(at->slot);

	if (!f)
		return false;
	l->own = &f->dir[at->dir & 1];
	l->peer = &f->dir[~at->dir & 1];
	return true;
}

static __always_inline struct hash_flow *hash_open(const struct fs_packet *p, const struct fs_key *k,
						   struct fs_spot *at, bool six)
{
	struct hash_hand *h = hash_hand();

	if (!h)
		return NULL;
	h->fresh.dir[0].control = h->fresh.dir[1].control = fs_first_control(p);
	h->fresh.cold.generation = 1;
	h->fresh.cold.tcp = fs_tcp_first(p, k->dir);
	at->fresh = true;
	return hash_put(k, &h->fresh, six);
}

static __always_inline bool hash_find(const struct fs_packet *p, const struct fs_key *k,
				      struct fs_spot *at, struct fs_lines *l, bool six)
{
	struct hash_flow *f = hash_get(k, six);

	at->dir = k->dir;
	at->slot = six ? FS_SLOT_IPV6 : 0;
	at->fresh = false;
	if (f && FS_READ(f->dir[0].packets) & FS_DEAD) {
		hash_delete(k, six);
		f = NULL;
	}
	if (!f)
		f = hash_open(p, k, at, six);
	if (!f)
		return false;
	l->own = &f->dir[k->dir & 1];
	l->peer = &f->dir[~k->dir & 1];
	return true;
}

static __always_inline bool fs_find(const struct fs_packet *p, const struct fs_key *k,
				    struct fs_spot *at, struct fs_lines *l)
{
	struct hash_hand *h = hash_hand();

	if (h)
		h->key = *k;
	if (p->ip_version == 4)
		return hash_find(p, k, at, l, false);
	return hash_find(p, k, at, l, true);
}

#endif
