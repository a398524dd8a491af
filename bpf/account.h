/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* account.h: what happens to a decoded packet: its flow is found, the packet added, and
 * user space told what it wants to know.
 */
#ifndef FS_ACCOUNT_H
#define FS_ACCOUNT_H

#include "emit.h"
#include "quality.h"
#include "spill.h"
#include "table.h"

/* A packet that was given up with its flow's place looks for another, this often. */
#define FS_ACCOUNT_TRIES	3

#define FS_STEP_TRIES	4	/* compare-and-swaps before a step is given up */

/* opens_anew says whether p opens a new flow on the tuple of one that is over: a SYN,
 * and not the one that opened it sent again.
 */
static __always_inline bool opens_anew(const struct fs_lines *l, const struct fs_cold *cold,
				       const struct fs_packet *p, __u32 dir)
{
	/* In a replay user space has seen every packet before this one: its word is exact.
	 * Live it lags behind by what is in the ring, so our own state counts, too.
	 */
	if (!(FS_READ(l->own->control) & FS_CTL_CLOSED) &&
	    (fs_replay || !fs_terminal(cold->tcp & FS_TCP_STATE)))
		return false;
	return !(cold->tcp & fs_bit(FS_TCP_SYN, dir)) || cold->dir[dir & 1].isn != p->seq;
}

/* replace gives up the place of a flow that p proves to be gone. */
static __always_inline bool replace(struct fs_lines *l, const struct fs_packet *p, struct fs_spot *at)
{
	struct fs_cold *cold;

	if (!(p->bits & FS_PKT_TCP) || (p->tcp_flags & (FS_SYN | FS_ACK | FS_RST)) != FS_SYN || at->fresh)
		return false;
	cold = fs_cold_of(at->slot);
	if (!cold || !opens_anew(l, cold, p, at->dir))
		return false;
	at->replaces = at->slot;
	at->replaces_generation = cold->generation;
	fs_retire(l);
	return true;
}

/* note_rare keeps what a direction's line has no room for: its first time, and the
 * range of TTLs. Most packets change neither.
 */
static __always_inline void note_rare(const struct fs_packet *p, const struct fs_spot *at)
{
	struct fs_cold *cold = fs_cold_of(at->slot);
	__u32 dir = at->dir & 1;

	if (!cold)
		return;
	if (at->first || (__s64)p->time < (__s64)cold->dir[dir].first)
		cold->dir[dir].first = p->time;
	if (at->first || p->ttl < cold->ttl_min[dir])
		cold->ttl_min[dir] = p->ttl;
	if (p->ttl > cold->ttl_max[dir])
		cold->ttl_max[dir] = p->ttl;
}

/* note keeps what is not a sum. Two CPUs in one direction may lose a TTL to each other,
 * never a flag.
 */
static __always_inline void note(struct fs_lines *l, const struct fs_packet *p, const struct fs_spot *at)
{
	struct fs_counts *own = l->own;

	if (at->first || (__s64)p->time < (__s64)at->last || p->ttl != own->ttl) {
		note_rare(p, at);
		own->ttl = p->ttl;
	}
	if (at->first || (__s64)p->time > (__s64)at->last)
		own->last = p->time;
	if ((own->tcp_flags & p->tcp_flags) != p->tcp_flags)
		__sync_fetch_and_or(fs_line_word(own), p->tcp_flags);
}

/* step takes a flow to its next state word and returns it. changed: it was another one
 * before.
 */
static __always_inline __u64 step(struct fs_cold *cold, struct fs_lines *l, const struct fs_packet *p,
				  __u32 dir, bool *changed)
{
	const struct fs_cold_side *peer = &cold->dir[~dir & 1];
	struct fs_ends ends = {
		.own_next = l->own->next_seq,
		.peer_next = l->peer->next_seq,
		.peer_isn = peer->isn,
	};
	__u64 word = FS_READ(cold->tcp), next = word, found;
	__u32 i;

	*changed = false;
	for (i = 0; i < FS_STEP_TRIES; i++) {
		next = fs_tcp_next(word, &ends, peer->first, p, dir & 1);
		if (next == word)
			break;
		found = __sync_val_compare_and_swap(&cold->tcp, word, next);
		if (found == word) {
			*changed = true;
			break;
		}
		word = next = found;
	}
	return next;
}

/* settle_lines spares plain segments that change nothing the way through here: those of
 * an established flow, and those of a side that has spoken while the other has not.
 */
static __always_inline void settle_lines(struct fs_lines *l, const struct fs_packet *p, __u64 word, __u32 dir)
{
	__u32 state = word & FS_TCP_STATE;

	if (p->tcp_flags & (FS_FIN | FS_RST)) {
		fs_control_clear(l->own, FS_CTL_SETTLED);
		fs_control_clear(l->peer, FS_CTL_SETTLED);
		return;
	}
	if (state == FS_ESTABLISHED)
		fs_control_set(l->peer, FS_CTL_SETTLED);
	if (state == FS_ESTABLISHED || (state == FS_ACTIVE && word & fs_bit(FS_TCP_SPOKE, dir)))
		fs_control_set(l->own, FS_CTL_SETTLED);
}

/* unsettled takes a segment through the state machine. It returns whether user space
 * must hear of it: when anything is new, and of everything once the end has begun. It
 * is a global function, which the verifier looks at once.
 */
__noinline int unsettled(const struct fs_packet *p, const struct fs_spot *at)
{
	struct fs_cold *cold;
	struct fs_lines l;
	bool changed;
	__u64 word;

	if (!p || !at || !fs_lines_of(at, &l))
		return true;
	cold = fs_cold_of(at->slot);
	if (!cold)
		return true;
	if (p->tcp_flags & FS_SYN && !(cold->tcp & fs_bit(FS_TCP_SYN, at->dir)))
		cold->dir[at->dir & 1].isn = p->seq;
	word = step(cold, &l, p, at->dir, &changed);
	settle_lines(&l, p, word, at->dir);
	return changed || (word & FS_TCP_STATE) > FS_ESTABLISHED;
}

/* follow looks at a packet that was added. Segments that open or close, the first packet
 * of a direction and its first payload are always notable.
 */
static __always_inline enum fs_odd follow(struct fs_lines *l, const struct fs_packet *p, struct fs_spot *at)
{
	__u8 edges = p->tcp_flags & (FS_SYN | FS_FIN | FS_RST);
	enum fs_odd odd = at->first || at->payload || edges ? FS_ODD_NOTABLE : 0;

	if (p->bits & FS_PKT_TCP) {
		odd |= fs_measure(l, p, at);
		if ((edges || !(FS_READ(l->own->control) & FS_CTL_SETTLED)) && unsettled(p, at))
			odd |= FS_ODD_NOTABLE;
	}
	return odd;
}

/* heard says whether a packet is to go up: of the protocols that anybody reads, when
 * they are wanted or the packet is notable; the first packet of any; each fragment,
 * and that with its payload, since only user space puts datagrams together.
 */
static __always_inline bool heard(__u8 control, const struct fs_packet *p, const struct fs_spot *at,
				  enum fs_odd odd)
{
	if (at->fresh || control & FS_CTL_OWED || p->bits & FS_PKT_FRAG)
		return true;
	if (!(p->bits & FS_PKT_TCP) && p->proto != IPPROTO_UDP && p->proto != IPPROTO_UDPLITE)
		return false;
	return !(control & FS_CTL_QUIET) || control & FS_CTL_CLOSED || odd & FS_ODD_NOTABLE;
}

/* first tells of a new flow, or of one whose first packets found the ring full. */
static __always_inline void first(const struct fs_out *o, struct fs_lines *l, bool wanted)
{
	if (fs_emit_first(o, wanted)) {
		fs_control_clear(l->own, FS_CTL_OWED);
		fs_control_clear(l->peer, FS_CTL_OWED);
	} else {
		fs_control_set(l->own, FS_CTL_OWED);
		fs_control_set(l->peer, FS_CTL_OWED);
	}
}

/* tell sends what user space should know of a packet that was added. */
static __always_inline void tell(struct fs_out *o, enum fs_odd odd)
{
	__u32 worker = o->k->worker;
	__u32 hook = o->skb ? FS_HOOK_TC : FS_HOOK_XDP;
	struct fs_lines l;
	__u8 control;
	bool wanted;

	o->ring = bpf_map_lookup_elem(&rings, &worker);
	o->head = bpf_map_lookup_elem(&fs_heads, &hook);
	if (!o->ring || !o->head || !fs_lines_of(o->at, &l))
		return;
	o->cold = fs_cold_of(o->at->slot);
	control = FS_READ(l.own->control);
	wanted = !(control & FS_CTL_NO_PAYLOAD) || o->p->bits & FS_PKT_FRAG;
	if (o->at->fresh || control & FS_CTL_OWED)
		first(o, &l, wanted);
	else if (o->p->bits & FS_PKT_FRAG)
		fs_emit_fragment(o, wanted);
	else if (heard(control, o->p, o->at, odd))
		fs_emit_packet(o, wanted);
	if (odd & FS_ODD_LONG_RTT)
		fs_emit_rtt(o, o->at->rtt);
}

/* Global functions, one for each kind of context, so that the verifier looks at them
 * once.
 */
__noinline int tell_xdp(struct xdp_md *ctx, const struct fs_packet *p, const struct fs_spot *at,
			const struct fs_key *k, __u32 odd)
{
	struct fs_out o = { .ctx = ctx, .p = p, .at = at, .k = k, .skb = false };

	if (p && at && k)
		tell(&o, odd);
	return 0;
}

__noinline int tell_skb(struct __sk_buff *skb, const struct fs_packet *p, const struct fs_spot *at,
			const struct fs_key *k, __u32 odd)
{
	struct fs_out o = { .ctx = skb, .p = p, .at = at, .k = k, .skb = true };

	if (p && at && k)
		tell(&o, odd);
	return 0;
}

/* added is what comes after a packet was added to its flow. */
static __always_inline void added(void *ctx, bool skb, const struct fs_packet *p, struct fs_lines *l,
				  struct fs_spot *at, const struct fs_key *k)
{
	enum fs_odd odd = follow(l, p, at);
	__u8 control = FS_READ(l->own->control);

	note(l, p, at);
	if (at->fresh)
		fs_count(FS_COUNT_CLAIMED, 1, 0);
	if (!heard(control, p, at, odd) && !(odd & FS_ODD_LONG_RTT))
		return;
	if (skb)
		tell_skb(ctx, p, at, k, odd);
	else
		tell_xdp(ctx, p, at, k, odd);
}

/* add_waited adds the fragments that came before this one, the first of its datagram. */
static __always_inline void add_waited(struct fs_lines *l, const struct fs_waiting *w, const struct fs_spot *at)
{
	struct fs_cold *cold = fs_cold_of(at->slot);
	struct fs_counts *c = l->own;
	__u32 dir = at->dir & 1;

	__sync_fetch_and_add(&c->packets, w->packets);
	__sync_fetch_and_add(&c->bytes, w->bytes);
	__sync_fetch_and_add(&c->ip_bytes, w->ip_bytes);
	__sync_fetch_and_add(&c->payload_bytes, w->payload_bytes);
	fs_count(FS_COUNT_TRACKED, w->packets, w->bytes);
	if ((__s64)w->last > (__s64)c->last)
		c->last = w->last;
	if (!cold)
		return;
	if ((__s64)w->first < (__s64)cold->dir[dir].first)
		cold->dir[dir].first = w->first;
	if (w->ttl_min < cold->ttl_min[dir])
		cold->ttl_min[dir] = w->ttl_min;
	if (w->ttl_max > cold->ttl_max[dir])
		cold->ttl_max[dir] = w->ttl_max;
}

/* fs_account adds a packet to its flow, and what waited for it (waited may be NULL). The
 * cause returned is why it could not.
 */
static __always_inline enum fs_cause fs_account(void *ctx, bool skb, const struct fs_packet *p,
						const struct fs_waiting *waited)
{
	struct fs_spot at = { .replaces = FS_SLOT_NONE };
	struct fs_walk *w = NULL;
	struct fs_lines l = {};
	struct fs_key k = {};
	__u32 i;

	if (fs_key_tunnel)
		w = fs_walk_of(skb ? FS_HOOK_TC : FS_HOOK_XDP);
	fs_key_of(p, w ? &w->tunnels : NULL, &k);
	for (i = 0; i < FS_ACCOUNT_TRIES; i++) {
		if (!fs_find(p, &k, &at, &l))
			break;
		if (replace(&l, p, &at))
			continue;
		if (fs_add(&l, p, &at)) {
			added(ctx, skb, p, &l, &at, &k);
			if (waited && waited->packets)
				add_waited(&l, waited, &at);
			return FS_DECODED;
		}
	}
	if (!fs_spill_add(p, &k, waited))
		return FS_TABLE_FULL;
	return FS_DECODED;
}

#endif
