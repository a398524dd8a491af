/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* frag.h: later IP fragments follow the first of their datagram, which alone has the
 * ports (SEMANTICS 2.3); the rules are those of packet.Fragments.
 *
 * A datagram is known for 30 s of packet time from its first fragment seen. Fragments
 * that come before the first wait: what they add up to is handed out with it, or as
 * orphans when the time is over. Fragments of one datagram may come on several CPUs:
 * a bucket is looked at and changed with its lock held.
 */
#ifndef FS_FRAG_H
#define FS_FRAG_H

#include "config.h"
#include "context.h"
#include "decap.h"
#include "packet.h"

#define FS_FRAG_WAYS		8
#define FS_FRAG_BUCKETS		2048	/* room for 4096 datagrams, however they fall */
#define FS_FRAG_LIFETIME	30000000000LL

/* What becomes of a fragment. */
enum fs_follow {
	FS_FOLLOW_TRACKED,	/* of a known flow: count it */
	FS_FOLLOW_WAITING,	/* its first fragment is not here yet */
	FS_FOLLOW_ORPHAN,	/* of no flow, and no room to let it wait */
};

/* What waiting fragments add to their flow. */
struct fs_waiting {
	__u64	packets;
	__u64	bytes;
	__u64	ip_bytes;
	__u64	payload_bytes;
	__u64	first;		/* smallest and largest packet time */
	__u64	last;
	__u8	ttl_min;
	__u8	ttl_max;
	__u8	pad[6];
};

/* What fs_follow says besides. */
struct fs_followed {
	struct fs_waiting	waited;		/* for this first fragment */
	__u64			orphan_packets;	/* of other datagrams, given up now */
	__u64			orphan_bytes;
	__u64			full;		/* 1: there was no room for the datagram */
};

#define FS_DATAGRAM_WORDS	6

union fs_datagram_key {
	struct {
		union fs_addr	src;
		union fs_addr	dst;
		__u32		id;
		__u32		context;	/* of the tunnels around it */
		__u8		proto;		/* 0 for IPv6, where fragments may differ in it */
		__u8		ip_version;
		__u8		pad[6];
	};
	__u64	words[FS_DATAGRAM_WORDS];
};
_Static_assert(sizeof(union fs_datagram_key) == FS_DATAGRAM_WORDS * 8, "fs_datagram_key has holes");

struct fs_datagram {
	union fs_datagram_key	key;
	__u64			start;		/* when the first one of it came */
	struct fs_waiting	waiting;
	__u16			sport;		/* with have_first, as proto to icmp_code */
	__u16			dport;
	__u8			proto;
	__u8			icmp_type;
	__u8			icmp_code;
	__u8			used;
	__u8			have_first;
	__u8			pad[7];
};

struct fs_datagrams {
	struct bpf_spin_lock	lock;
	__u32			pad;
	struct fs_datagram	way[FS_FRAG_WAYS];
};

/* key: bucket, by hash of the datagram's key, value: its datagrams. Written and read by
 * the programs alone.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FS_FRAG_BUCKETS);
	__type(key, __u32);
	__type(value, struct fs_datagrams);
} fragments SEC(".maps");

/* The largest time of a fragment so far. CPUs may set it back by what they differ, which
 * nobody can tell from a fragment that came later.
 */
__s64 fs_frag_clock;

static __always_inline void datagram_key(const struct fs_packet *p, __u32 hook, union fs_datagram_key *k)
{
	struct fs_walk *w = fs_walk_of(hook);

	k->src = p->src;
	k->dst = p->dst;
	k->id = p->frag_id;
	k->ip_version = p->ip_version;
	if (p->ip_version == 4)
		k->proto = p->frag_proto;
	if (w && p->n_tunnels)
		k->context = fs_packet_context(p, false, &w->tunnels);
}

static __always_inline __u32 datagram_bucket(const union fs_datagram_key *k)
{
	__u64 h = fs_seed;
	__u32 i;

	for (i = 0; i < FS_DATAGRAM_WORDS; i++) {
		h = (h ^ k->words[i]) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
	}
	return h & (FS_FRAG_BUCKETS - 1);
}

static __always_inline bool datagram_is(const struct fs_datagram *d, const union fs_datagram_key *k)
{
	__u64 differ = 0;
	__u32 i;

	for (i = 0; i < FS_DATAGRAM_WORDS; i++)
		differ |= d->key.words[i] ^ k->words[i];
	return !differ;
}

/* datagram_age gives d up if it has had its time; what waited in it becomes orphans. */
static __always_inline void datagram_age(struct fs_datagram *d, __s64 now, struct fs_followed *out)
{
	__s64 start = d->start;

	if (!d->used || now < start || (__u64)now - (__u64)start < FS_FRAG_LIFETIME)
		return;
	out->orphan_packets += d->waiting.packets;
	out->orphan_bytes += d->waiting.bytes;
	d->used = 0;
}

static __always_inline void datagram_wait(struct fs_waiting *w, const struct fs_packet *p)
{
	if (!w->packets) {
		w->first = p->time;
		w->last = p->time;
		w->ttl_min = p->ttl;
		w->ttl_max = p->ttl;
	}
	w->packets += p->segs;
	w->bytes += p->wire_len;
	w->ip_bytes += p->ip_len;
	w->payload_bytes += p->payload_len;
	if ((__s64)p->time < (__s64)w->first)
		w->first = p->time;
	if ((__s64)p->time > (__s64)w->last)
		w->last = p->time;
	if (p->ttl < w->ttl_min)
		w->ttl_min = p->ttl;
	if (p->ttl > w->ttl_max)
		w->ttl_max = p->ttl;
}

static __always_inline void datagram_open(struct fs_datagram *d, const union fs_datagram_key *k, __s64 now)
{
	__builtin_memcpy(&d->key, k, sizeof(d->key));
	__builtin_memset(&d->waiting, 0, sizeof(d->waiting));
	d->start = now;
	d->have_first = 0;
	d->used = 1;
}

/* datagram_find ages the bucket and sets at to the way that has the datagram; a new one if
 * there is room, else it is false. The lock is held.
 */
static __always_inline bool datagram_find(struct fs_datagrams *b, const union fs_datagram_key *k, __s64 now,
					  struct fs_followed *out, __u32 *at)
{
	__u32 i, room = FS_FRAG_WAYS;

	*at = FS_FRAG_WAYS;
	for (i = 0; i < FS_FRAG_WAYS; i++) {
		datagram_age(&b->way[i], now, out);
		if (!b->way[i].used)
			room = i;
		else if (datagram_is(&b->way[i], k))
			*at = i;
	}
	if (*at < FS_FRAG_WAYS)
		return true;
	if (room >= FS_FRAG_WAYS)
		return false;
	*at = room;
	datagram_open(&b->way[room], k, now);
	return true;
}

/* datagram_first takes what the first fragment says, and hands out what waited for it.
 * Another first one replaces it.
 */
static __always_inline void datagram_first(struct fs_datagram *d, const struct fs_packet *p,
					   struct fs_waiting *waited)
{
	d->have_first = 1;
	d->proto = p->proto;
	d->sport = p->sport;
	d->dport = p->dport;
	d->icmp_type = p->icmp_type;
	d->icmp_code = p->icmp_code;
	*waited = d->waiting;
	__builtin_memset(&d->waiting, 0, sizeof(d->waiting));
}

static __always_inline enum fs_follow datagram_follow(struct fs_datagram *d, struct fs_packet *p,
						      struct fs_followed *out)
{
	if (p->bits & FS_PKT_FRAG_FIRST) {
		datagram_first(d, p, &out->waited);
		return FS_FOLLOW_TRACKED;
	}
	if (!d->have_first) {
		datagram_wait(&d->waiting, p);
		return FS_FOLLOW_WAITING;
	}
	p->proto = d->proto;
	p->sport = d->sport;
	p->dport = d->dport;
	p->icmp_type = d->icmp_type;
	p->icmp_code = d->icmp_code;
	return FS_FOLLOW_TRACKED;
}

/* fs_follow takes the fragment p, which was parsed on the given hook, and returns enum
 * fs_follow. A later fragment of a known datagram gets protocol, ports and ICMP
 * fields of the first. The caller has zeroed out.
 */
__noinline int fs_follow(struct fs_packet *p, __u32 hook, struct fs_followed *out)
{
	union fs_datagram_key k = {};
	struct fs_datagrams *b;
	int verdict = FS_FOLLOW_ORPHAN;
	__u32 bucket, at;
	__s64 now;

	if (!p || !out)
		return FS_FOLLOW_ORPHAN;
	if ((__s64)p->time > fs_frag_clock)
		fs_frag_clock = p->time;
	now = fs_frag_clock;
	datagram_key(p, hook, &k);
	bucket = datagram_bucket(&k);
	b = bpf_map_lookup_elem(&fragments, &bucket);
	if (!b)
		return FS_FOLLOW_ORPHAN;
	bpf_spin_lock(&b->lock);
	if (datagram_find(b, &k, now, out, &at))
		verdict = datagram_follow(&b->way[at & (FS_FRAG_WAYS - 1)], p, out);
	else
		out->full = 1;
	bpf_spin_unlock(&b->lock);
	if (out->full && p->bits & FS_PKT_FRAG_FIRST)
		verdict = FS_FOLLOW_TRACKED;
	return verdict;
}

/* fs_age_bucket gives up the datagrams of one bucket that have had their time. */
__noinline int fs_age_bucket(__u32 bucket, __s64 now, struct fs_followed *out)
{
	struct fs_datagrams *b = bpf_map_lookup_elem(&fragments, &bucket);
	__u32 i;

	if (!b || !out)
		return 0;
	bpf_spin_lock(&b->lock);
	for (i = 0; i < FS_FRAG_WAYS; i++)
		datagram_age(&b->way[i], now, out);
	bpf_spin_unlock(&b->lock);
	return 0;
}

/* fs_age_fragments moves the clock to now and adds to out what became orphans: later
 * fragments whose first never came.
 */
static __always_inline void fs_age_fragments(__s64 now, struct fs_followed *out)
{
	__u32 i;

	if (now > fs_frag_clock)
		fs_frag_clock = now;
	for (i = 0; i < FS_FRAG_BUCKETS; i++)
		fs_age_bucket(i, now, out);
}

#endif
