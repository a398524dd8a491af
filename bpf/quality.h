/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* quality.h: what headers alone tell of a TCP flow's quality: round-trip times,
 * windows, retransmissions, duplicate ACKs (SEMANTICS.md 5.8; the twin of
 * userspace/tracker's measure).
 *
 * A plain segment of payload finds all it needs in its own line. The cold part is
 * touched for pure ACKs, for what is odd, and when a round trip is timed, which is once
 * in 10 ms at most. fs_counts.pace says when that may be again without a look there:
 * FS_PACE_LOOK; FS_PACE_TIMING while a segment waits for its ACK; else when the last one
 * was sent, in ticks of 2^20 ns, which holds for FS_PACE_FRESH of them.
 */
#ifndef FS_QUALITY_H
#define FS_QUALITY_H

#include "table.h"

#define FS_REARM_NS	10000000	/* between two segments that are timed */
#define FS_RTT_MAX	0xffffffffULL	/* that fs_cold_side can hold */
#define FS_TIME48	0xffffffffffffULL

enum fs_pace {
	FS_PACE_LOOK	= 0,
	FS_PACE_TICKS	= 128,	/* the other values are 1 to 128, */
	FS_PACE_SURE	= 8,	/* so old or younger: less than 10 ms ago */
	FS_PACE_FRESH	= 11,	/* so old or older: more than 10 ms ago */
	FS_PACE_TIMING	= 255,
};

#define FS_PACE_GAP_NS	100000000	/* a pause in which ticks may have gone round */

/* What the quality of a segment gives rise to. */
enum fs_odd {
	FS_ODD_NOTABLE	= 1 << 0,	/* a history letter may be due */
	FS_ODD_LONG_RTT	= 1 << 1,	/* fs_spot.rtt holds one */
};

/* fs_line_word is the word of flags, control, TTL and pace. */
static __always_inline __u32 *fs_line_word(struct fs_counts *c)
{
	return (__u32 *)&c->tcp_flags;
}

static __always_inline void fs_control_set(struct fs_counts *c, enum fs_control bits)
{
	if ((FS_READ(c->control) & bits) != bits)
		__sync_fetch_and_or(fs_line_word(c), (__u32)bits << 8);
}

static __always_inline void fs_control_clear(struct fs_counts *c, enum fs_control bits)
{
	if (FS_READ(c->control) & bits)
		__sync_fetch_and_and(fs_line_word(c), ~((__u32)bits << 8));
}

static __always_inline __u8 fs_tick(__u64 time)
{
	return 1 + (time >> 20) % (__u32)FS_PACE_TICKS;
}

/* pace_now brings the pace of a direction up to date. */
static __always_inline __u8 pace_now(struct fs_lines *l, const struct fs_packet *p, struct fs_spot *at)
{
	struct fs_counts *own = l->own;
	__u8 pace = FS_READ(own->pace);
	__u32 age = (fs_tick(p->time) - (__u32)pace) % (__u32)FS_PACE_TICKS;

	if (pace == FS_PACE_LOOK || pace == FS_PACE_TIMING)
		return pace;
	if (age < FS_PACE_FRESH && p->time - at->last < FS_PACE_GAP_NS)
		return age <= FS_PACE_SURE ? pace : FS_PACE_LOOK;
	own->pace = FS_PACE_LOOK;
	return FS_PACE_LOOK;
}

static __always_inline __u64 timed_at(const struct fs_cold_side *c)
{
	return (__u64)c->timed_at_high << 32 | c->timed_at;
}

/* arm begins to time the segment if the last one was long enough ago. */
static __always_inline void arm(struct fs_lines *l, const struct fs_packet *p, struct fs_spot *at, __u32 end)
{
	struct fs_cold *cold = fs_cold_of(at->slot);
	struct fs_cold_side *c;
	__u64 now = p->time & FS_TIME48;

	if (!cold)
		return;
	c = &cold->dir[at->dir & 1];
	if (timed_at(c) && ((now - timed_at(c)) & FS_TIME48) < FS_REARM_NS)
		return;
	c->timed_at = now;
	c->timed_at_high = now >> 32;
	c->timed_end = end;
	l->own->pace = FS_PACE_TIMING;
	fs_control_set(l->peer, FS_CTL_TIMED);
}

static __always_inline void add_sample(struct fs_cold_side *c, __u32 rtt)
{
	__u64 sum = ((__u64)c->rtt_sum_high << 32 | c->rtt_sum) + rtt;

	if (!c->rtt_samples || rtt < c->rtt_min)
		c->rtt_min = rtt;
	if (rtt > c->rtt_max)
		c->rtt_max = rtt;
	c->rtt_samples++;
	c->rtt_sum = sum;
	c->rtt_sum_high = sum >> 32;
}

/* take_rtt sees whether p acknowledges the segment its peer is timing. */
static __always_inline enum fs_odd take_rtt(struct fs_lines *l, const struct fs_packet *p, struct fs_spot *at)
{
	struct fs_cold *cold = fs_cold_of(at->slot);
	struct fs_counts *peer = l->peer;
	struct fs_cold_side *c;
	__u64 rtt;

	if (!cold)
		return 0;
	c = &cold->dir[~at->dir & 1];
	if (FS_READ(peer->pace) == FS_PACE_TIMING && fs_before(p->ack, c->timed_end))
		return 0;
	fs_control_clear(l->own, FS_CTL_TIMED);
	if (FS_READ(peer->pace) != FS_PACE_TIMING)	/* sent again: Karn */
		return 0;
	rtt = (p->time - timed_at(c)) & FS_TIME48;
	if (rtt >> 47)	/* the clock went back */
		rtt = 0;
	peer->pace = rtt < FS_REARM_NS ? fs_tick(timed_at(c)) : FS_PACE_LOOK;
	if (rtt > FS_RTT_MAX) {
		at->rtt = rtt;
		return FS_ODD_LONG_RTT;
	}
	add_sample(c, rtt);
	return 0;
}

/* fs_log_step: histories note the 1st, 10th, 100th ... of a kind. */
static __always_inline enum fs_odd fs_log_step(__u16 *count)
{
	__u16 n = *count;

	if (n == 0xffff)
		return 0;
	*count = ++n;
	return n == 1 || n == 10 || n == 100 || n == 1000 || n == 10000 ? FS_ODD_NOTABLE : 0;
}

static __always_inline enum fs_odd zero_window(struct fs_lines *l, const struct fs_packet *p, struct fs_spot *at)
{
	struct fs_cold *cold = fs_cold_of(at->slot);
	bool was_zero = FS_READ(l->own->control) & FS_CTL_ZERO;
	struct fs_cold_side *c;

	if (p->window) {
		fs_control_clear(l->own, FS_CTL_ZERO);
		return 0;
	}
	fs_control_set(l->own, FS_CTL_ZERO);
	if (!cold)
		return 0;
	c = &cold->dir[at->dir & 1];
	if (!was_zero && !at->first && c->zero_windows < 0xffff)
		c->zero_windows++;
	return fs_log_step(&c->zero_packets);
}

/* resent takes note of payload, or a part of it, that was sent before; end: of the
 * segment (fs_end).
 */
static __always_inline enum fs_odd resent(struct fs_lines *l, const struct fs_packet *p, struct fs_spot *at, __u32 end)
{
	struct fs_counts *own = l->own;
	struct fs_cold *cold;

	if (FS_READ(own->pace) == FS_PACE_TIMING)
		own->pace = FS_PACE_LOOK;
	if (fs_before(own->next_seq, end))
		return 0;
	cold = fs_cold_of(at->slot);
	return cold ? fs_log_step(&cold->dir[at->dir & 1].retransmissions) : 0;
}

/* pure_ack counts duplicate ACKs (RFC 5681 2): nothing but the last pure ACK again,
 * while the peer has data under way; not a keepalive.
 */
static __always_inline enum fs_odd pure_ack(struct fs_lines *l, const struct fs_packet *p, struct fs_spot *at)
{
	struct fs_cold *cold = fs_cold_of(at->slot);
	__u32 mixed = (p->ack ^ (__u32)p->window << 16) * 0x9e3779b1U;
	__u16 fold = mixed >> 16 ? mixed >> 16 : 1;	/* 0: none yet */
	struct fs_cold_side *c;
	bool first;

	if (!cold)
		return 0;
	c = &cold->dir[at->dir & 1];
	first = !c->ack;
	if (c->ack == fold && fs_before(p->ack, l->peer->next_seq) &&
	    p->seq != l->own->next_seq - 1)
		c->duplicate_acks++;
	c->ack = fold;
	return first ? FS_ODD_NOTABLE : 0;
}

/* raise moves the end of what was sent, until it is that of the stream. */
static __always_inline void raise(struct fs_lines *l, const struct fs_packet *p, struct fs_spot *at, __u32 end)
{
	struct fs_cold *cold;

	if (p->tcp_flags & FS_SYN) {
		cold = fs_cold_of(at->slot);
		if (cold && !fs_opening_state(cold->tcp))
			return;
	}
	l->own->next_seq = fs_next_seq(l->own->next_seq, p, end);
	if (fs_has_fin(p))
		fs_control_set(l->own, FS_CTL_FIN);
}

/* What there is to do about a segment besides its line. */
enum fs_work {
	FS_WORK_WINDOW	= 1 << 0,
	FS_WORK_RTT	= 1 << 1,
	FS_WORK_ACK	= 1 << 2,
	FS_WORK_RESENT	= 1 << 3,
	FS_WORK_ARM	= 1 << 4,
};

/* measure_more does the work, and returns enum fs_odd. It is a global function, which the
 * verifier looks at once. end: of the segment (fs_end).
 */
__noinline __u32 measure_more(const struct fs_packet *p, struct fs_spot *at, __u32 work, __u32 end)
{
	struct fs_lines l;
	__u32 odd = 0;

	if (!p || !at || !fs_lines_of(at, &l))
		return 0;
	if (work & FS_WORK_WINDOW)
		odd |= zero_window(&l, p, at);
	if (work & FS_WORK_RTT)
		odd |= take_rtt(&l, p, at);
	if (work & FS_WORK_ACK)
		odd |= pure_ack(&l, p, at);
	if (work & FS_WORK_RESENT)
		odd |= resent(&l, p, at, end);
	if (work & FS_WORK_ARM)
		arm(&l, p, at, p->seq + p->payload_len);
	return odd;
}

/* fs_measure looks at one segment, before its flags join those of the line. */
static __always_inline enum fs_odd fs_measure(struct fs_lines *l, const struct fs_packet *p, struct fs_spot *at)
{
	struct fs_counts *own = l->own;
	__u8 control = FS_READ(own->control);
	__u32 end = fs_end(p);
	enum fs_odd odd = 0;
	__u32 work = 0;
	__u8 pace;

	if (p->tcp_flags & FS_RST)
		return 0;
	if (!p->window || control & FS_CTL_ZERO)
		work |= FS_WORK_WINDOW;
	if (p->tcp_flags & FS_ACK && control & FS_CTL_TIMED)
		work |= FS_WORK_RTT;
	pace = pace_now(l, p, at);
	if (!p->payload_len) {
		if ((p->tcp_flags & (FS_SYN | FS_FIN | FS_ACK)) == FS_ACK)
			work |= FS_WORK_ACK;
	} else if (!at->first && fs_before(p->seq, own->next_seq)) {
		work |= FS_WORK_RESENT;
	} else if (pace == FS_PACE_LOOK && !(p->tcp_flags & FS_SYN) && !(control & FS_CTL_FIN)) {
		work |= FS_WORK_ARM;
	}
	if (work)
		odd = measure_more(p, at, work, end);
	if (!(control & FS_CTL_FIN))
		raise(l, p, at, end);
	return odd;
}

#endif
