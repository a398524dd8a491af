/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tcp.h: the state of a TCP flow, for those who read the table and to know of which
 * packets user space must hear. The twin of userspace/tracker (SEMANTICS.md 3.4), held to
 * it by tests/tcp. Sequence numbers are judged more simply here, and user space has the
 * last word on them: neither the highest ACK nor the window of a side is kept, so a reset
 * counts at the end of its stream only, segments far outside the window move that end, of
 * several SYNs the first one rules, and a FIN counts wherever it is.
 *
 * State lies in one word of the cold part; account.h changes it by compare-and-swap.
 * Once a flow is established its lines are settled: plain segments do not come here.
 */
#ifndef FS_TCP_H
#define FS_TCP_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>
#include "abi.h"
#include "packet.h"


/* TCP flags as on the wire. */
enum fs_tcp_flags {
	FS_FIN	= 1 << 0,
	FS_SYN	= 1 << 1,
	FS_RST	= 1 << 2,
	FS_PSH	= 1 << 3,
	FS_ACK	= 1 << 4,
};

/* What the sequence numbers of a segment, and those before it, say about it. The values
 * are those of tracker.Facts.
 */
enum fs_facts {
	FS_BOTH_SPOKE		= 1 << 0,	/* each side sent an ACK or payload */
	FS_ACKS_SYN		= 1 << 1,	/* acknowledges a SYN its receiver sent */
	FS_FIRST_FIN		= 1 << 2,	/* carries the first FIN of its sender */
	FS_LAST_FIN_ACKED	= 1 << 3,
	FS_VALID_RST		= 1 << 4,
};

#define FS_READ(x)	(*(volatile typeof(x) *)&(x))

static __always_inline bool fs_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}

static __always_inline bool fs_terminal(__u32 state)
{
	return state == FS_CLOSED || state == FS_RESET;
}

/* fs_opening is the part of fs_transition that leads up to established. */
static __always_inline __u32 fs_opening(__u32 state, bool responder, __u8 flags, __u32 facts)
{
	bool syn = flags & FS_SYN, ack = flags & FS_ACK;

	switch (state) {
	case FS_ACTIVE:
		if (syn && !ack && !responder)
			return FS_SYN_SENT;
		if (syn && ack && responder)
			return FS_SYN_RECEIVED;
		if (facts & FS_BOTH_SPOKE)
			return FS_ESTABLISHED;
		break;
	case FS_SYN_SENT:
		if (syn && responder && (!ack || facts & FS_ACKS_SYN))
			return FS_SYN_RECEIVED;
		if (!syn && facts & FS_BOTH_SPOKE)	/* the SYN+ACK was never seen */
			return FS_ESTABLISHED;
		break;
	case FS_SYN_RECEIVED:
		if (ack && !responder && facts & FS_ACKS_SYN)
			return FS_ESTABLISHED;
	}
	return state;
}

/* fs_transition returns the state that follows. It is total. Like the other steps on the
 * way to a new state it is a global function: the verifier looks at each once, not at
 * every way through all of them.
 */
__noinline __u32 fs_transition(__u32 state, bool responder, __u8 flags, __u32 facts)
{
	if (fs_terminal(state))
		return state;
	if (flags & FS_RST)
		return facts & FS_VALID_RST ? FS_RESET : state;
	state = fs_opening(state, responder, flags, facts);
	if ((flags & (FS_FIN | FS_SYN)) == FS_FIN && facts & FS_FIRST_FIN) {
		if (state == FS_FIN_WAIT)
			state = FS_CLOSING;
		else if (state < FS_FIN_WAIT)
			state = FS_FIN_WAIT;
	}
	if (state == FS_CLOSING && facts & FS_LAST_FIN_ACKED)
		state = FS_CLOSED;
	return state;
}

static __always_inline __u32 fs_orientation(__u64 word)
{
	return word >> FS_TCP_ORIENT_SHIFT & 3;
}

static __always_inline bool fs_initiator(__u64 word)
{
	return word & FS_TCP_INITIATOR;
}

/* fs_orient makes dir the direction of the initiator. */
static __always_inline __u64 fs_orient(__u64 word, bool dir, enum fs_orientation how)
{
	word &= ~((__u64)FS_TCP_INITIATOR | 3 << FS_TCP_ORIENT_SHIFT);
	return word | (dir ? FS_TCP_INITIATOR : 0) | how << FS_TCP_ORIENT_SHIFT;
}

/* fs_orient_by orients by a SYN, or corrects what was taken from a packet that says
 * less (SEMANTICS.md 3.3).
 */
static __always_inline __u64 fs_orient_by(__u64 word, const struct fs_packet *p, bool dir)
{
	if (!(p->bits & FS_PKT_TCP) || !(p->tcp_flags & FS_SYN))
		return word;
	if (!(p->tcp_flags & FS_ACK))
		return fs_orientation(word) < FS_BY_SYN ? fs_orient(word, dir, FS_BY_SYN) : word;
	return fs_orientation(word) < FS_BY_SYN_ACK ? fs_orient(word, !dir, FS_BY_SYN_ACK) : word;
}

/* fs_tcp_first is the state word of a flow that begins with p. */
static __always_inline __u64 fs_tcp_first(const struct fs_packet *p, bool dir)
{
	return fs_orient_by(fs_orient(0, dir, FS_FIRST_SEEN), p, dir);
}

/* fs_bit is a bit of one direction. */
static __always_inline __u64 fs_bit(enum fs_tcp bit, bool dir)
{
	return (__u64)bit << dir;
}

/* fs_acks_syn: isn and max are the peer's. A SYN+ACK has to name the SYN or the data sent
 * with it exactly; later ACKs may be past it.
 */
static __always_inline bool fs_acks_syn(const struct fs_packet *p, __u32 isn, __u32 max)
{
	if (!(p->tcp_flags & FS_ACK) || !fs_before(isn, p->ack))
		return false;
	return !(p->tcp_flags & (FS_SYN | FS_RST)) || !fs_before(max, p->ack);
}

/* fs_has_fin: a FIN beside a SYN or a RST is none. */
static __always_inline bool fs_has_fin(const struct fs_packet *p)
{
	return (p->tcp_flags & (FS_FIN | FS_SYN | FS_RST)) == FS_FIN;
}

/* fs_end is the sequence number behind p. */
static __always_inline __u32 fs_end(const struct fs_packet *p)
{
	return p->seq + p->payload_len + !!(p->tcp_flags & (FS_SYN | FS_FIN));
}

/* fs_opening_state: SYNs still matter. */
static __always_inline bool fs_opening_state(__u64 word)
{
	return (word & FS_TCP_STATE) <= FS_SYN_RECEIVED;
}

/* fs_next_seq is fs_counts.next_seq after p, which is not a reset, of a direction that has
 * not sent its FIN. A FIN stands for the end of the stream. 0: nothing was sent.
 */
static __always_inline __u32 fs_next_seq(__u32 next, const struct fs_packet *p, __u32 end)
{
	return !next || fs_has_fin(p) || fs_before(next, end) ? end : next;
}

/* Where both streams stand, from a packet's side. */
struct fs_ends {
	__u32	own_next;	/* fs_counts.next_seq */
	__u32	peer_next;
	__u32	peer_isn;
};

/* fs_valid_rst knows a reset at the edge of the stream, one that answers the SYN, and
 * one that is a flow's first packet. Others are for user space to judge.
 */
static __always_inline bool fs_valid_rst(__u64 word, const struct fs_ends *e, const struct fs_packet *p,
					 bool dir, __u32 facts)
{
	if (!(word & (fs_bit(FS_TCP_SEEN, 0) | fs_bit(FS_TCP_SEEN, 1))))
		return true;
	if ((word & FS_TCP_STATE) == FS_SYN_SENT && dir != fs_initiator(word))
		return facts & FS_ACKS_SYN;
	return word & fs_bit(FS_TCP_SEEN, dir) && p->seq == e->own_next;
}

/* fs_learn notes in the word what p says of its sender. */
__noinline __u64 fs_learn(__u64 word, const struct fs_packet *p, bool dir)
{
	__u8 flags;

	if (!p || p->tcp_flags & FS_RST)
		return word;
	flags = p->tcp_flags;
	word |= fs_bit(FS_TCP_SEEN, dir);
	if (flags & FS_ACK || p->payload_len)
		word |= fs_bit(FS_TCP_SPOKE, dir);
	if (flags & FS_SYN && fs_opening_state(word)) {
		if (word & fs_bit(FS_TCP_SYN, dir))
			word |= FS_TCP_RESENT_SYN;
		word |= fs_bit(FS_TCP_SYN, dir);
	}
	if (fs_has_fin(p) && !(word & fs_bit(FS_TCP_FIN, dir))) {
		word &= ~(__u64)FS_TCP_LAST_FIN;
		word |= fs_bit(FS_TCP_FIN, dir) | (dir ? FS_TCP_LAST_FIN : 0);
	}
	return word;
}

/* fs_judge returns the facts about p; word: before it, learnt: with it. */
__noinline __u32 fs_judge(__u64 word, __u64 learnt, const struct fs_ends *e, const struct fs_packet *p, bool dir)
{
	__u64 both = fs_bit(FS_TCP_SPOKE, 0) | fs_bit(FS_TCP_SPOKE, 1);
	__u64 fins = fs_bit(FS_TCP_FIN, 0) | fs_bit(FS_TCP_FIN, 1);
	bool last = learnt & FS_TCP_LAST_FIN;
	__u32 facts = 0;

	if (!e || !p)
		return 0;
	if ((learnt & both) == both)
		facts |= FS_BOTH_SPOKE;
	if (word & fs_bit(FS_TCP_SYN, !dir) && fs_acks_syn(p, e->peer_isn, e->peer_next))
		facts |= FS_ACKS_SYN;
	if ((word ^ learnt) & fins)
		facts |= FS_FIRST_FIN;
	if ((learnt & fins) == fins && last != dir && (p->tcp_flags & (FS_ACK | FS_SYN)) == FS_ACK &&
	    !fs_before(p->ack, e->peer_next))
		facts |= FS_LAST_FIN_ACKED;
	if (p->tcp_flags & FS_RST && fs_valid_rst(word, e, p, dir, facts))
		facts |= FS_VALID_RST;
	return facts;
}

/* fs_time_handshake notes the times between SYN, SYN+ACK and ACK (RFC 9293 3.5), as long
 * as none was sent twice. peer_first: when the other side's SYN came.
 */
__noinline __u64 fs_time_handshake(__u64 word, __u64 next, const struct fs_packet *p, __u64 peer_first, bool dir)
{
	__u64 delay;

	if (!p || next & FS_TCP_RESENT_SYN || !(next & fs_bit(FS_TCP_SYN, !dir)))
		return next;
	if (p->tcp_flags & FS_SYN) {
		if (p->tcp_flags & FS_ACK && dir != fs_initiator(next))
			next |= FS_TCP_SYN_ACK_TIMED;
		return next;
	}
	if ((word & FS_TCP_STATE) != FS_SYN_RECEIVED || (next & FS_TCP_STATE) == FS_SYN_RECEIVED)
		return next;
	delay = p->time - peer_first;
	if ((__s64)delay < 0 || delay >> 40)
		delay = 0;
	return next | FS_TCP_ACK_TIMED | delay << FS_TCP_DELAY_SHIFT;
}

/* fs_tcp_next is the state word after p. */
static __always_inline __u64 fs_tcp_next(__u64 word, const struct fs_ends *e, __u64 peer_first,
					 const struct fs_packet *p, bool dir)
{
	__u64 oriented = word, next;
	__u32 state;

	if (fs_opening_state(word))
		oriented = fs_orient_by(word, p, dir);
	next = fs_learn(oriented, p, dir);
	state = fs_transition(oriented & FS_TCP_STATE, dir != fs_initiator(oriented), p->tcp_flags,
			      fs_judge(oriented, next, e, p, dir));
	next = (next & ~(__u64)FS_TCP_STATE) | state;
	return fs_time_handshake(oriented, next, p, peer_first, dir);
}

#endif
