/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* emit.h: records for user space, into the ring of the flow's worker.
 *
 * An fs_emit_ function sends one record about the packet in hand. When the ring has no
 * room the record is counted as dropped, the payload it would have had goes to the
 * flow's account of lost bytes, and the next record of that direction says how much.
 *
 * Space is reserved in a few sizes, since the verifier wants to know them; what lies
 * behind cap_len is left as it was in the ring, which its reader has seen before.
 */
#ifndef FS_EMIT_H
#define FS_EMIT_H

#include <stddef.h>
#include <bpf/bpf_core_read.h>
#include "options.h"
#include "table.h"

/* Sizes with the kernel's 8 bytes are multiples of a cache line. FS_SIZE_FRAME holds a
 * full Ethernet frame; FS_SIZE_LARGE is for kernels that cannot copy in blocks.
 */
#define FS_RING_HEADER	8
#define FS_SIZE_SMALL	(256 - FS_RING_HEADER)
#define FS_SIZE_FRAME	(1536 - FS_RING_HEADER)
#define FS_SIZE_LARGE	(4096 - FS_RING_HEADER)

/* Payload that does not fit FS_SIZE_FRAME is copied in blocks. */
#define FS_BLOCK	4096
#define FS_BLOCKS	16

/* key: the hook, value: the header in the making, for which there is no room on the
 * stack. Per-CPU, and programs run with softirqs off.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct fs_record);
} fs_heads SEC(".maps");

/* One packet on its way up. */
struct fs_out {
	void			*ctx;
	const struct fs_packet	*p;
	const struct fs_spot	*at;
	const struct fs_key	*k;
	struct fs_cold		*cold;
	void			*ring;
	struct fs_record	*head;
	bool			skb;		/* ctx is that of tc */
};

/* fs_within is n, which is from 1 to the constant max, in words that every verifier
 * follows: before Linux 6.8 it learns nothing from n != 0, and forgets the range of 32
 * bits that the compiler puts on the stack.
 */
#define fs_within(n, max) ({					\
	__u64 _n = (n);						\
	asm volatile("if %[v] > 0 goto +1\n\t"			\
		     "%[v] = 1\n\t"				\
		     "if %[v] <= %[m] goto +1\n\t"		\
		     "%[v] = 1"					\
		     : [v] "+r"(_n) : [m] "i"(max));		\
	_n;							\
})

static __always_inline long out_load(const struct fs_out *o, __u32 off, void *to, __u64 n)
{
	if (o->skb)
		return bpf_skb_load_bytes(o->ctx, off, to, n);
	return bpf_xdp_load_bytes(o->ctx, off, to, n);
}

static __always_inline __u32 *out_lost(const struct fs_out *o)
{
	return o->cold ? &o->cold->dir[o->at->dir & 1].lost : NULL;
}

/* out_dropped accounts for a record that found no room. */
static __always_inline void out_dropped(const struct fs_out *o, __u32 payload)
{
	__u32 *lost = out_lost(o), bytes;

	fs_count(FS_COUNT_RING_DROPPED, 1, payload);
	if (!lost)
		return;
	bytes = (*lost & FS_LOST_BYTES) + payload;
	*lost = FS_LOST_RECORDS | (bytes < FS_LOST_BYTES ? bytes : FS_LOST_BYTES);
}

/* A reader that has less than this to read may be asleep. A verdict may come of a
 * direction's first payload, so it is not left waiting for more records.
 */
#define FS_WAKE_IDLE	(32 << 10)

/* out_counted is called once room for a record is there. */
static __always_inline __u64 out_counted(const struct fs_out *o, __u32 size)
{
	struct fs_tally *t = fs_count(FS_COUNT_RING_RECORDS, 1, size);
	__u32 *lost = out_lost(o);

	if (o->head->cap_len)
		fs_count(FS_COUNT_RING_PAYLOAD, 1, o->head->cap_len);
	if (lost && *lost && o->head->kind != FS_RECORD_RTT)
		*lost = 0;
	if (!fs_wake_records || !t)
		return BPF_RB_NO_WAKEUP;
	if (o->at->payload && o->p->bits & FS_PKT_TCP &&
	    bpf_ringbuf_query(o->ring, BPF_RB_AVAIL_DATA) < FS_WAKE_IDLE)
		return BPF_RB_FORCE_WAKEUP;
	if (!(t->packets & (fs_wake_records - 1)))
		return BPF_RB_FORCE_WAKEUP;
	if (!(t->packets & (fs_wake_records / 8 - 1)) &&
	    bpf_ringbuf_query(o->ring, BPF_RB_AVAIL_DATA) > fs_wake_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* out_begin fills a record with what every kind has. */
static __always_inline void out_begin(const struct fs_out *o, struct fs_record *r, enum fs_kind kind)
{
	__u32 *lost = out_lost(o);

	__builtin_memset(r, 0, sizeof(*r));
	r->time = o->p->time;
	r->slot = o->at->slot;
	r->generation = o->cold ? o->cold->generation : 0;
	r->lost = lost ? *lost : 0;
	r->kind = kind;
	r->dir = o->at->dir;
	r->payload_len = o->p->payload_len;
}

static __always_inline void out_tcp_fields(const struct fs_out *o, struct fs_record *r)
{
	struct fs_tcp_options t = {};

	if (o->skb)
		fs_options_skb(o->ctx, o->p, &t);
	else
		fs_options_xdp(o->ctx, o->p, &t);
	r->seq = o->p->seq;
	r->ack = o->p->ack;
	r->window = o->p->window;
	r->urgent = o->p->urgent;
	r->tcp_flags = o->p->tcp_flags;
	r->tsval = t.tsval;
	r->tsecr = t.tsecr;
	r->mss = t.mss;
	r->wscale = t.wscale;
	r->options = t.bits;
}

static __always_inline void map_v4(__u8 *to, __be32 a)
{
	__builtin_memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &a, 4);
}

static __always_inline void fs_export_addr(__u8 *to, const union fs_addr *a, __u8 version)
{
	if (version == 4)
		map_v4(to, a->v4);
	else
		__builtin_memcpy(to, a, sizeof(*a));
}

/* fs_export_key writes the key of a packet's flow as user space reads it. */
static __always_inline void fs_export_key(struct fs_flow_key *to, const struct fs_packet *p,
					  const struct fs_key *k)
{
	__builtin_memset(to, 0, sizeof(*to));
	fs_export_addr(to->lo, k->dir ? &p->dst : &p->src, p->ip_version);
	fs_export_addr(to->hi, k->dir ? &p->src : &p->dst, p->ip_version);
	to->lo_port = k->dir ? p->dport : p->sport;
	to->hi_port = k->dir ? p->sport : p->dport;
	to->context = k->id >> FS_ID_CONTEXT_SHIFT & FS_ID_CONTEXT_MASK;
	to->proto = p->proto;
	to->ip_version = p->ip_version;
}

/* start_macs reads the link addresses; those of cooked captures lie elsewhere. */
static __always_inline void start_macs(const struct fs_out *o, struct fs_start *s)
{
	const struct fs_packet *p = o->p;

	if (p->bits & FS_PKT_SRC_MAC && !out_load(o, p->src_mac_off, s->src_mac, sizeof(s->src_mac)))
		s->has_mac |= 1;
	if (p->bits & FS_PKT_DST_MAC && !out_load(o, 0, s->dst_mac, sizeof(s->dst_mac)))
		s->has_mac |= 2;
}

static __always_inline void start_fill(const struct fs_out *o, struct fs_start *s,
				       bool late)
{
	const struct fs_packet *p = o->p;

	fs_export_key(&s->key, p, o->k);
	s->replaces = o->at->replaces;
	s->flow_label = p->flow_label;
	__builtin_memcpy(s->vlans, p->vlans, sizeof(s->vlans));
	s->n_vlans = p->n_vlans;
	s->n_tunnels = p->n_tunnels;
	s->icmp_type = p->icmp_type;
	s->icmp_code = p->icmp_code;
	s->late = late;
	s->replaces_generation = o->at->replaces_generation;
	s->has_mac = 0;
	__builtin_memset(s->src_mac, 0, sizeof(s->src_mac) + sizeof(s->dst_mac));
	start_macs(o, s);
}

/* start_tunnels copies the layers of encapsulation, where the parser keeps them. */
static __always_inline void start_tunnels(const struct fs_out *o, struct fs_start *s)
{
	struct fs_walk *w;

	if (!s->n_tunnels)
		return;
	w = fs_walk_of(o->skb ? FS_HOOK_TC : FS_HOOK_XDP);
	if (w)
		__builtin_memcpy(s->tunnels, &w->tunnels, sizeof(s->tunnels));
}

static __always_inline void start_write(const struct fs_out *o, void *to)
{
	start_fill(o, to, !o->at->fresh);
	start_tunnels(o, to);
}

static __always_inline void fragment_write(const struct fs_out *o, void *to)
{
	const struct fs_packet *p = o->p;
	struct fs_fragment *f = to;

	fs_export_addr(f->src, &p->src, p->ip_version);
	fs_export_addr(f->dst, &p->dst, p->ip_version);
	f->id = p->frag_id;
	f->off = p->frag_off;
	f->proto = p->frag_proto;
	f->ip_version = p->ip_version;
	f->more = !!(p->bits & FS_PKT_FRAG_MORE);
	__builtin_memset(f->pad, 0, sizeof(f->pad));
}

/* What lies between header and payload, as a constant, so that sizes are known. */
enum fs_between {
	FS_BETWEEN_NOTHING	= 0,
	FS_BETWEEN_FRAGMENT	= sizeof(struct fs_fragment),
	FS_BETWEEN_START	= sizeof(struct fs_start) + sizeof(struct fs_fragment),
};

static __always_inline void between_write(const struct fs_out *o, void *to, enum fs_between between)
{
	if (between == FS_BETWEEN_FRAGMENT)
		fragment_write(o, to);
	if (between == FS_BETWEEN_START) {
		start_write(o, to);
		fragment_write(o, to + sizeof(struct fs_start));
	}
}

/* put sends a record of size bytes, with n bytes from the frame's offset off. */
static __always_inline bool put(const struct fs_out *o, __u32 off, __u32 n,
			        const enum fs_between between, const __u32 size)
{
	struct fs_record *r = bpf_ringbuf_reserve(o->ring, size, 0);

	if (!r)
		return false;
	*r = *o->head;
	between_write(o, r + 1, between);
	if (n && out_load(o, off, (void *)(r + 1) + between, fs_within(n, size - sizeof(*r) - between))) {
		r->cap_len = 0;
		fs_count(FS_COUNT_LOAD_FAILED, 1, n);
	}
	bpf_ringbuf_submit(r, out_counted(o, size));
	return true;
}

/* put_blocks copies what is too long for put. Blocks are whole, so the end of the record
 * is not; the dynptr is submitted or discarded on every path, as the verifier wants.
 */
static __always_inline bool put_blocks(const struct fs_out *o, __u32 off, __u32 n,
				       const enum fs_between between)
{
	const __u32 before = sizeof(struct fs_record) + between;
	__u32 size = before + (n + FS_BLOCK - 1) / FS_BLOCK * FS_BLOCK, i, len;
	struct bpf_dynptr room;
	struct fs_record *r;
	void *to;

	if (bpf_ringbuf_reserve_dynptr(o->ring, size, 0, &room)) {
		bpf_ringbuf_discard_dynptr(&room, 0);
		return false;
	}
	r = bpf_dynptr_data(&room, 0, before);
	if (r) {
		*r = *o->head;
		between_write(o, r + 1, between);
	}
	for (i = 0; i < FS_BLOCKS && n; i++) {
		to = bpf_dynptr_data(&room, before + i * FS_BLOCK, FS_BLOCK);
		len = n < FS_BLOCK ? n : FS_BLOCK;
		if (!to || out_load(o, off, to, fs_within(len, FS_BLOCK)))
			break;
		off += len;
		n -= len;
	}
	if (n)
		fs_count(FS_COUNT_LOAD_FAILED, 1, n);
	bpf_ringbuf_submit_dynptr(&room, out_counted(o, size));
	return true;
}

static __always_inline bool has_dynptr(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_ringbuf_reserve_dynptr);
}

/* put_payload sends a record with n bytes of the frame, in the size that fits. Records
 * with something in between are rarer, and have fewer sizes.
 */
static __always_inline bool put_payload(const struct fs_out *o, __u32 off, __u32 n,
					const enum fs_between between)
{
	const __u32 before = sizeof(*o->head) + between;

	o->head->cap_len = n;
	if (!n)
		return put(o, 0, 0, between, before);
	if (!between && n <= FS_SIZE_SMALL - before)
		return put(o, off, n, between, FS_SIZE_SMALL);
	if (n <= FS_SIZE_FRAME - before)
		return put(o, off, n, between, FS_SIZE_FRAME);
	if (has_dynptr())
		return put_blocks(o, off, n, between);
	if (n > FS_SIZE_LARGE - before)
		n = o->head->cap_len = FS_SIZE_LARGE - before;
	return put(o, off, n, between, FS_SIZE_LARGE);
}

/* out_head fills the header of a record about the packet itself. */
static __always_inline void out_head(const struct fs_out *o, bool wanted, __u8 bits)
{
	const struct fs_packet *p = o->p;

	if (p->bits & FS_PKT_FRAG) {
		out_begin(o, o->head, FS_RECORD_FRAGMENT);
		o->head->payload_len = p->ip_len - (p->frag_start - p->l3_off);
	} else if (p->bits & FS_PKT_TCP) {
		out_begin(o, o->head, FS_RECORD_TCP);
		out_tcp_fields(o, o->head);
	} else if (p->proto == IPPROTO_UDP || p->proto == IPPROTO_UDPLITE) {
		out_begin(o, o->head, FS_RECORD_DATAGRAM);
	} else {
		out_begin(o, o->head, FS_RECORD_OTHER);
	}
	o->head->bits = bits;
	if (!wanted && o->head->payload_len)
		o->head->bits |= FS_RECORD_UNWANTED;
}

/* captured returns how much of the payload that a record speaks of is in the frame. */
static __always_inline __u32 captured(const struct fs_out *o)
{
	const struct fs_packet *p = o->p;
	__u32 cap;

	if (!(p->bits & FS_PKT_FRAG))
		return p->payload_cap;
	cap = p->cap_len > p->frag_start ? p->cap_len - p->frag_start : 0;
	return cap < o->head->payload_len ? cap : o->head->payload_len;
}

/* emit sends a record about the packet itself, with its payload if that is wanted. */
static __always_inline bool emit(const struct fs_out *o, bool wanted, __u8 bits, const enum fs_between between)
{
	__u32 off = o->p->bits & FS_PKT_FRAG ? o->p->frag_start : o->p->payload_off;

	out_head(o, wanted, bits);
	if (put_payload(o, off, wanted ? captured(o) : 0, between))
		return true;
	out_dropped(o, wanted ? o->p->payload_len : 0);
	return false;
}

static __always_inline void fs_emit_packet(const struct fs_out *o, bool wanted)
{
	emit(o, wanted, 0, FS_BETWEEN_NOTHING);
}

static __always_inline void fs_emit_fragment(const struct fs_out *o, bool wanted)
{
	emit(o, wanted, 0, FS_BETWEEN_FRAGMENT);
}

/* fs_emit_first is for the packet that tells of a new flow. It is false when the ring is
 * full: the flow still owes the record.
 */
static __always_inline bool fs_emit_first(const struct fs_out *o, bool wanted)
{
	return emit(o, wanted, FS_RECORD_START, FS_BETWEEN_START);
}

/* fs_emit_rtt sends a sample of the other direction. */
static __always_inline void fs_emit_rtt(const struct fs_out *o, __u64 rtt)
{
	struct fs_record *r = o->head;

	out_begin(o, r, FS_RECORD_RTT);
	r->dir ^= 1;
	r->payload_len = 0;
	r->lost = 0;	/* of the packet's direction: the next record about it tells */
	r->seq = rtt >> 32;
	r->ack = rtt;
	if (!put(o, 0, 0, FS_BETWEEN_NOTHING, sizeof(*r)))
		out_dropped(o, 0);
}

#endif
