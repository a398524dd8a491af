/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tcp.bpf.c: the state machine alone, its answers in a map. Not part of the product:
 * tests/tcp compares it with userspace/tracker.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../tcp.h"

#define ALL_FLAGS	256

/* The frame: what is the same for all flags. */
struct question {
	__u32	state;
	__u32	facts;
	__u32	responder;	/* 1: the sender is */
	__u32	pad;
};

const struct question *asked __attribute__((unused));	/* for its Go type */

struct answer {
	__u8	next[ALL_FLAGS];	/* by flags */
};

/* key: 0, value: the answer to the last question. Written here, read by the test. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct answer);
} answers SEC(".maps");

SEC("xdp")
int transitions(struct xdp_md *ctx)
{
	const struct question *q = (void *)(long)ctx->data;
	__u32 zero = 0, flags;
	struct answer *a = bpf_map_lookup_elem(&answers, &zero);

	if (!a || (void *)(q + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	for (flags = 0; flags < ALL_FLAGS; flags++)
		a->next[flags] = fs_transition(q->state, q->responder, flags, q->facts);
	return XDP_PASS;
}

#define WALK_STEPS	65536

/* A segment of a walk. */
struct step {
	__u32	seq;
	__u32	ack;
	__u16	len;
	__u8	flags;
	__u8	dir;
	__u8	begins;		/* a new flow */
	__u8	state;		/* the answer: the flow's after it */
	__u8	pad[2];
};

struct walk {
	struct step	step[WALK_STEPS];
};

/* key: 0, value: what segments are to be taken. The test writes them, the program the
 * answers.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk);
} walks SEC(".maps");

/* What the table keeps of a flow for its state. */
struct walker {
	struct walk	*walk;
	__u64		word;
	__u32		next[2];
	__u32		isn[2];
	bool		fin[2];
};

/* take is what account.h and quality.h do about a segment's state. */
static __always_inline void take(struct walker *w, const struct fs_packet *p, bool dir)
{
	struct fs_ends ends;

	bool odd = p->tcp_flags & FS_RST || (p->tcp_flags & FS_SYN && !fs_opening_state(w->word));

	if (!odd && !w->fin[dir]) {
		w->next[dir] = fs_next_seq(w->next[dir], p, fs_end(p));
		w->fin[dir] = fs_has_fin(p);
	}
	if (p->tcp_flags & FS_SYN && !(w->word & fs_bit(FS_TCP_SYN, dir)))
		w->isn[dir] = p->seq;
	ends.own_next = w->next[dir];
	ends.peer_next = w->next[!dir];
	ends.peer_isn = w->isn[!dir];
	w->word = fs_tcp_next(w->word, &ends, 0, p, dir);
}

static long take_step(__u32 i, struct walker *w)
{
	struct fs_packet p = { .bits = FS_PKT_TCP };
	struct step *s;

	if (i >= WALK_STEPS)
		return 1;
	s = &w->walk->step[i];
	p.seq = s->seq;
	p.ack = s->ack;
	p.payload_len = s->len;
	p.tcp_flags = s->flags;
	if (s->begins) {
		w->word = fs_tcp_first(&p, s->dir);
		w->next[0] = w->next[1] = 0;
		w->fin[0] = w->fin[1] = false;
	}
	take(w, &p, s->dir & 1);
	s->state = w->word & FS_TCP_STATE;
	return 0;
}

SEC("xdp")
int steps(struct xdp_md *ctx)
{
	struct walker w = {};
	__u32 zero = 0;

	w.walk = bpf_map_lookup_elem(&walks, &zero);
	if (!w.walk)
		return XDP_ABORTED;
	return bpf_loop(WALK_STEPS, take_step, &w, 0) == WALK_STEPS ? XDP_PASS : XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
