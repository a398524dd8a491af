/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* table.h: the flow table, open-addressed in arrays that user space maps.
 *
 * A flow's hash names two buckets in its worker's region. Its place is one of theirs,
 * at best the first one looked at: key and counters of a direction share a cache line,
 * so a packet of a known flow touches one line.
 *
 * fs_find returns the place of a packet's flow and claims one if it has none; line.h
 * adds the packet and gives a place up. What is in a place that was given up is for user
 * space to read and to free, a grace period later (abi.h, FS_DEAD).
 *
 * Two CPUs that see a new flow at once both try to claim its place: one wins and the
 * other waits until the key can be read. Should a flow get two places all the same,
 * because user space freed one meanwhile, user space joins them by key.
 */
#ifndef FS_TABLE_H
#define FS_TABLE_H

#include "line.h"
#include "maps.h"

#define FS_ATTEMPTS	4	/* looks for a place, if others take it away */
#define FS_TURNS	64	/* to wait for a twin that has claimed the place */

/* fs_bucket_of returns one of a flow's buckets. The worker took the hash's top bits;
 * what they leave chooses in its region.
 */
static __always_inline __u32 fs_bucket_of(const struct fs_key *k, __u32 choice, __u32 buckets)
{
	__u32 rest = choice ? (__u32)k->hash : (__u32)((k->hash >> 32) * fs_workers);

	return k->worker * buckets + (__u32)((__u64)rest * buckets >> 32);
}

static __always_inline struct fs_cold *fs_cold_of(__u32 slot)
{
	__u32 n = slot & ~FS_SLOT_IPV6;

	if (slot & FS_SLOT_IPV6)
		return bpf_map_lookup_elem(&cold6, &n);
	return bpf_map_lookup_elem(&cold4, &n);
}

/* One code for both tables: six is a constant wherever these are called, and says
 * which. A line is known by the address of its identity word, which comes first.
 */
static __always_inline void *bucket_at(__u32 index, bool six)
{
	if (six)
		return bpf_map_lookup_elem(&flows6, &index);
	return bpf_map_lookup_elem(&flows4, &index);
}

static __always_inline __u64 *line_at(void *bucket, __u32 place, __u32 dir, bool six)
{
	place &= FS_BUCKET - 1;
	dir &= 1;
	if (six)
		return &((struct fs_bucket6 *)bucket)->place[place].dir[dir].id;
	return &((struct fs_bucket4 *)bucket)->place[place].dir[dir].id;
}

static __always_inline struct fs_counts *counts_of(__u64 *line, bool six)
{
	if (six)
		return &((struct fs_line6 *)line)->counts;
	return &((struct fs_line4 *)line)->counts;
}

/* line_differs is 0 if a line has the addresses of k. */
static __always_inline __u64 line_differs(const __u64 *line, const struct fs_key *k, bool six)
{
	const struct fs_line6 *l = (const struct fs_line6 *)line;

	if (!six)
		return line[1] ^ k->lo[0];	/* lo and hi */
	return (l->lo[0] ^ k->lo[0]) | (l->lo[1] ^ k->lo[1]) | (l->hi[0] ^ k->hi[0]) | (l->hi[1] ^ k->hi[1]);
}

static __always_inline void line_begin(__u64 *line, const struct fs_key *k, __u8 control, bool six)
{
	struct fs_line6 *l = (struct fs_line6 *)line;

	counts_of(line, six)->control = control;
	if (!six) {
		line[1] = k->lo[0];
		return;
	}
	l->lo[0] = k->lo[0];
	l->lo[1] = k->lo[1];
	l->hi[0] = k->hi[0];
	l->hi[1] = k->hi[1];
}

/* claim takes a free place, whose lines a and b are, and writes the flow into it. Line b
 * is published first: who finds a can use both.
 */
static __always_inline bool claim(__u64 *a, __u64 *b, __u32 slot, const struct fs_packet *p,
				  const struct fs_key *k, bool six)
{
	__u8 control = fs_first_control(p);
	struct fs_cold *cold;

	if (__sync_val_compare_and_swap(a, FS_ID_FREE, k->id | FS_ID_BUSY) != FS_ID_FREE)
		return false;
	line_begin(a, k, control, six);
	line_begin(b, k, control, six);
	cold = fs_cold_of(slot);
	if (cold) {
		cold->generation++;
		cold->tcp = fs_tcp_first(p, k->dir);
	}
	__sync_lock_test_and_set(b, k->id | FS_ID_LIVE);
	__sync_lock_test_and_set(a, k->id | FS_ID_LIVE);
	return true;
}

/* search looks for the flow in one bucket, from the place on that the hash says. A place
 * given up is passed over.
 */
static __always_inline bool search(const struct fs_key *k, __u32 index, __u32 *slot, bool six)
{
	void *bucket = bucket_at(index, six);
	__u64 *line;
	__u32 i, n;

	if (!bucket)
		return false;
	for (i = 0; i < FS_BUCKET; i++) {
		n = (k->hash + i) & (FS_BUCKET - 1);
		line = line_at(bucket, n, k->dir, six);
		if (FS_READ(*line) != (k->id | FS_ID_LIVE) || line_differs(line, k, six))
			continue;
		if (FS_READ(counts_of(line, six)->packets) & FS_DEAD)
			continue;
		*slot = index * FS_BUCKET + n;
		return true;
	}
	return false;
}

/* What is in one bucket besides the flow. */
struct fs_survey {
	__u32	taken;	/* places */
	__u32	free;	/* where the first free one is, from where the hash says, */
	__u32	frees;	/* if not 0 */
	__u32	twin;	/* where one is being claimed for this key, or one much like it, */
	__u32	twins;	/* if not 0 */
	__u32	flows;	/* not 0: the flow itself has come since it was sought */
};

/* is_zero is 1 for 0 and else 0, by arithmetic: a branch here would double what the
 * verifier has to look at with each place.
 */
static __always_inline __u32 is_zero(__u64 x)
{
	__u64 minus = -x;

	barrier_var(minus);	/* the compiler knows branches that do the same */
	x = ((x | minus) >> 63) ^ 1;
	barrier_var(x);
	return x;
}

static __always_inline __u32 either(__u32 yes, __u32 a, __u32 b)
{
	return (a & -yes) | (b & (yes - 1));
}

static __always_inline void survey(const struct fs_key *k, __u32 index, struct fs_survey *s, bool six)
{
	void *bucket = bucket_at(index, six);
	__u32 i, n, free, twin;
	__u64 *line, id, differs;

	__builtin_memset(s, 0, sizeof(*s));
	if (!bucket)
		return;
	for (i = 0; i < FS_BUCKET; i++) {
		n = (k->hash - 1 - i) & (FS_BUCKET - 1);	/* backwards: the first one stays */
		line = line_at(bucket, n, 0, six);
		id = FS_READ(*line);
		free = is_zero(id);
		twin = is_zero(id ^ (k->id | FS_ID_BUSY));
		s->taken += free ^ 1;
		s->free = either(free, n, s->free);
		s->frees |= free;
		s->twin = either(twin, n, s->twin);
		s->twins |= twin;
		differs = (id ^ (k->id | FS_ID_LIVE)) | line_differs(line, k, six) |
			  (FS_READ(counts_of(line, six)->packets) & FS_DEAD);
		s->flows |= is_zero(differs);
	}
}

/* prefer_second says which of a flow's buckets a new one goes to: the first, where it is
 * found soonest, unless that is more than half full and the second one less so. This
 * fills the table to nine tenths before flows find no place.
 */
static __always_inline bool prefer_second(const struct fs_survey *first, const struct fs_survey *second)
{
	if (!first->frees)
		return true;
	return first->taken > FS_BUCKET / 2 && second->taken < first->taken;
}

/* wait_twin waits until the claim of a place, whose first line is a, is over. */
static __always_inline void wait_twin(const __u64 *a, const struct fs_key *k)
{
	__u32 i;

	for (i = 0; i < FS_TURNS; i++)
		if (FS_READ(*a) != (k->id | FS_ID_BUSY))
			break;
}

enum fs_open {
	FS_OPEN_RACED,	/* another CPU was quicker: look again */
	FS_OPEN_DONE,
	FS_OPEN_FULL,
};

/* choose sets slot to where a flow that has no place may get one, and twin to whether
 * somebody is at it already.
 */
static __always_inline enum fs_open choose(const struct fs_key *k, __u32 *slot, bool *twin, bool six)
{
	__u32 buckets = six ? fs_buckets6 : fs_buckets4;
	__u32 first = fs_bucket_of(k, 0, buckets), second = fs_bucket_of(k, 1, buckets);
	struct fs_survey a, b;

	survey(k, first, &a, six);
	survey(k, second, &b, six);
	if (a.flows | b.flows)
		return FS_OPEN_RACED;
	*twin = a.twins | b.twins;
	if (a.twins)
		*slot = first * FS_BUCKET + a.twin;
	else if (b.twins)
		*slot = second * FS_BUCKET + b.twin;
	else if (b.frees && prefer_second(&a, &b))
		*slot = second * FS_BUCKET + b.free;
	else
		*slot = first * FS_BUCKET + a.free;
	return a.frees | b.frees | a.twins | b.twins ? FS_OPEN_DONE : FS_OPEN_FULL;
}

/* take claims a place, or waits for a twin there. */
static __always_inline bool take(const struct fs_packet *p, const struct fs_key *k, __u32 slot,
				 struct fs_spot *at, bool twin, bool six)
{
	void *bucket = bucket_at(slot / FS_BUCKET, six);
	__u64 *a;

	if (!bucket)
		return false;
	a = line_at(bucket, slot, 0, six);
	at->slot = slot | (six ? FS_SLOT_IPV6 : 0);
	at->fresh = !twin && claim(a, line_at(bucket, slot, 1, six), at->slot, p, k, six);
	if (!at->fresh)
		wait_twin(a, k);
	return at->fresh;
}

/* open claims a place for a flow that has none. */
static __always_inline enum fs_open open(const struct fs_packet *p, const struct fs_key *k,
					 struct fs_spot *at, bool six)
{
	enum fs_open r;
	__u32 slot;
	bool twin;

	r = choose(k, &slot, &twin, six);
	if (r == FS_OPEN_DONE && !take(p, k, slot, at, twin, six))
		r = FS_OPEN_RACED;
	return r;
}

/* seek looks for the flow in all its places. */
static __always_inline bool seek(const struct fs_key *k, struct fs_spot *at, bool six)
{
	__u32 buckets = six ? fs_buckets6 : fs_buckets4;

	if (!search(k, fs_bucket_of(k, 0, buckets), &at->slot, six) &&
	    !search(k, fs_bucket_of(k, 1, buckets), &at->slot, six))
		return false;
	if (six)
		at->slot |= FS_SLOT_IPV6;
	return true;
}

/* Global functions, so that the verifier looks at them once; hence they trust no
 * pointer. seek_place is false when the flow has no place. open_place returns enum
 * fs_open.
 */
__noinline int seek_place(const struct fs_packet *p, const struct fs_key *k, struct fs_spot *at)
{
	if (!p || !k || !at)
		return false;
	if (p->ip_version == 4)
		return seek(k, at, false);
	return seek(k, at, true);
}

__noinline int open_place(const struct fs_packet *p, const struct fs_key *k, struct fs_spot *at)
{
	if (!p || !k || !at)
		return FS_OPEN_FULL;
	if (p->ip_version == 4)
		return open(p, k, at, false);
	return open(p, k, at, true);
}

/* find_place finds the flow, or opens a place for it. */
static __always_inline bool find_place(const struct fs_packet *p, const struct fs_key *k, struct fs_spot *at)
{
	__u32 i;
	int r;

	for (i = 0; i < FS_ATTEMPTS; i++) {
		if (seek_place(p, k, at))
			return true;
		r = open_place(p, k, at);
		if (r != FS_OPEN_RACED)
			return r == FS_OPEN_DONE;
	}
	fs_count(FS_COUNT_LOST_RACE, p->segs, p->wire_len);
	return false;
}

/* at_home looks at the place that a flow gets if it can. */
static __always_inline bool at_home(const struct fs_key *k, struct fs_spot *at, struct fs_lines *l, bool six)
{
	__u32 index = fs_bucket_of(k, 0, six ? fs_buckets6 : fs_buckets4);
	void *bucket = bucket_at(index, six);
	__u64 *line;

	if (!bucket)
		return false;
	line = line_at(bucket, k->hash, k->dir, six);
	if (FS_READ(*line) != (k->id | FS_ID_LIVE) || line_differs(line, k, six) ||
	    FS_READ(counts_of(line, six)->packets) & FS_DEAD)
		return false;
	l->own = counts_of(line, six);
	l->peer = counts_of(line_at(bucket, k->hash, ~k->dir, six), six);
	at->slot = (index * FS_BUCKET + (k->hash & (FS_BUCKET - 1))) | (six ? FS_SLOT_IPV6 : 0);
	return true;
}

static __always_inline bool lines_at(const struct fs_spot *at, struct fs_lines *l, bool six)
{
	__u32 n = at->slot & ~FS_SLOT_IPV6;
	void *bucket = bucket_at(n / FS_BUCKET, six);

	if (!bucket)
		return false;
	l->own = counts_of(line_at(bucket, n, at->dir, six), six);
	l->peer = counts_of(line_at(bucket, n, ~at->dir, six), six);
	return true;
}

/* fs_lines_of sets l to the lines of a place. */
static __always_inline bool fs_lines_of(const struct fs_spot *at, struct fs_lines *l)
{
	if (at->slot & FS_SLOT_IPV6)
		return lines_at(at, l, true);
	return lines_at(at, l, false);
}

/* fs_find finds the place of the packet's flow, or claims one. It is false when all
 * places of the flow are taken, or a race for one was lost.
 */
static __always_inline bool fs_find(const struct fs_packet *p, const struct fs_key *k,
				    struct fs_spot *at, struct fs_lines *l)
{
	at->dir = k->dir;
	at->fresh = false;
	if (p->ip_version == 4 ? at_home(k, at, l, false) : at_home(k, at, l, true))
		return true;
	return find_place(p, k, at) && fs_lines_of(at, l);
}

#endif
