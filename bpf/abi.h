/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* abi.h: the only contract with user space. bpf2go turns it into package gen.
 *
 * Every struct has fixed-width types, spelled-out padding and an asserted size.
 * Numbers are in host order unless the type says __be16 or __be32.
 */
#ifndef FS_ABI_H
#define FS_ABI_H

/* What is told to readers of pinned maps (struct fs_abi). */
enum fs_abi_version {
	FS_ABI_VERSION	= 1,
};

/* Limits of decoding, shared with userspace/packet (SEMANTICS.md 2). */
#define FS_MAX_VLANS	3
#define FS_MAX_MPLS	16
#define FS_MAX_TUNNELS	4
#define FS_MAX_EXT	8
#define FS_MAX_GTP_EXT	8

/* Why a frame is in no flow; the values are those of flow.Cause. */
enum fs_cause {
	FS_DECODED		= 0,
	FS_LINK_TYPE		= 1,
	FS_NOT_IP		= 2,
	FS_TRUNCATED		= 3,
	FS_MALFORMED		= 4,
	FS_FRAGMENT_ORPHAN	= 5,
	FS_EXTRACTOR		= 6,
	FS_TABLE_FULL		= 7,
	FS_CAUSES		= 8,
};

/* The values are those of flow.TunnelKind. */
enum fs_tunnel_kind {
	FS_TUNNEL_NONE,
	FS_TUNNEL_MPLS,
	FS_TUNNEL_PPPOE,
	FS_TUNNEL_VXLAN,
	FS_TUNNEL_GENEVE,
	FS_TUNNEL_GTPU,
	FS_TUNNEL_GRE,
	FS_TUNNEL_ERSPAN,
	FS_TUNNEL_PPTP,
	FS_TUNNEL_IPIP,
	FS_TUNNEL_TEREDO,
	FS_TUNNEL_AYIYA,
};

/* One layer of encapsulation, outermost first. */
struct fs_tunnel {
	__u8	src[16];	/* IPv4 is IPv4-mapped; zero without ip_version */
	__u8	dst[16];
	__u32	id;
	__u8	kind;		/* enum fs_tunnel_kind */
	__u8	has_id;
	__u8	ip_version;	/* of the carrying header; 0: none */
	__u8	pad;
};
_Static_assert(sizeof(struct fs_tunnel) == 40, "fs_tunnel has holes");

/* A UDP port and the kind of tunnel behind it (enum fs_tunnel_kind). */
struct fs_tunnel_port {
	__u16	port;
	__u16	kind;
};
_Static_assert(sizeof(struct fs_tunnel_port) == 4, "fs_tunnel_port has holes");

/* What the test clock carries before the frame, as XDP metadata
 * (BPF_PROG_TEST_RUN only): a replayed packet brings its own time and lengths.
 */
struct fs_replay_meta {
	__u64	time;		/* ns since 1970 */
	__u32	wire_len;	/* original length of the frame, without FCS */
	__u32	cap_len;	/* captured bytes; the frame may be padded behind them */
	__u32	link_type;	/* LINKTYPE_ number of the capture file */
	__u32	pad;
};
_Static_assert(sizeof(struct fs_replay_meta) == 24, "fs_replay_meta has holes");

/* ---- The flow table ----
 *
 * A flow has a place: slot n of flows4 or flows6, and slot n of cold4 or cold6. A
 * record names it by slot, with FS_SLOT_IPV6 for the table, and generation. The first
 * line of a place goes from the lower endpoint to the higher one (flow.Forward),
 * the second one back.
 */
#define FS_BUCKET	16	/* places looked at together */

enum fs_slot {
	FS_SLOT_IPV6	= 0x80000000,	/* the number is one of flows6 */
	FS_SLOT_NONE	= 0xffffffff,	/* no place */
};

/* The identity word of a line, from its low end: 2 bits of state, 22 bits of
 * context (0 unless VLAN or tunnel ids are part of the key), protocol, the lower
 * endpoint's port, the higher one's. A free line has 0.
 */
enum fs_id {
	FS_ID_FREE		= 0,
	FS_ID_BUSY		= 1,	/* claimed, the key is being written */
	FS_ID_LIVE		= 2,
	FS_ID_LEFT		= 3,	/* read and written; user space is freeing it */
	FS_ID_STATE		= 3,	/* mask of the state */
	FS_ID_CONTEXT_SHIFT	= 2,
	FS_ID_CONTEXT_MASK	= 0x3fffff,
	FS_ID_PROTO_SHIFT	= 24,
	FS_ID_LO_PORT_SHIFT	= 32,
	FS_ID_HI_PORT_SHIFT	= 48,
};

/* The top bit of packets: the place is given up. Who adds a packet and finds the bit
 * takes the packet off again and looks for another place; bytes follow only when
 * the bit was not there. One grace period after it was set all counters are final.
 */
#define FS_DEAD		(1ULL << 63)

/* Control bits of a line. The first three are user space's, which changes them in both
 * lines at once; the others are the kernel's own. They change by atomic operations on the
 * 32-bit word they lie in.
 */
enum fs_control {
	FS_CTL_NO_PAYLOAD	= 1 << 0,	/* leave this direction's payload out */
	FS_CTL_QUIET		= 1 << 1,	/* only control records */
	FS_CTL_CLOSED		= 1 << 2,	/* the session is over: a fresh SYN starts anew */
	FS_CTL_FIN		= 1 << 3,	/* the direction sent its FIN: next_seq is its end */
	FS_CTL_SETTLED		= 1 << 4,	/* TCP: plain segments change no state */
	FS_CTL_TIMED		= 1 << 5,	/* the peer waits for an ACK to take its RTT */
	FS_CTL_ZERO		= 1 << 6,	/* the last announced window was 0 */
	FS_CTL_OWED		= 1 << 7,	/* the start record is still to be sent */
};

/* What every packet of one direction adds to. Times are those of the packets:
 * CLOCK_MONOTONIC, or nanoseconds since 1970 in a replay.
 */
struct fs_counts {
	__u64	packets;	/* and FS_DEAD */
	__u64	bytes;
	__u64	ip_bytes;
	__u64	payload_bytes;
	__u64	last;		/* largest packet time */
	__u32	next_seq;	/* end of the highest TCP segment; stands still after a FIN */
	__u8	tcp_flags;	/* union */
	__u8	control;	/* enum fs_control */
	__u8	ttl;		/* of the last packet */
	__u8	pace;		/* when an RTT may be timed again: quality.h */
};
_Static_assert(sizeof(struct fs_counts) == 48, "fs_counts has holes");

/* One direction of an IPv4 flow: one cache line. */
struct fs_line4 {
	__u64			id;	/* enum fs_id */
	__be32			lo;
	__be32			hi;
	struct fs_counts	counts;
};
_Static_assert(sizeof(struct fs_line4) == 64, "fs_line4 is not a cache line");

struct fs_place4 {
	struct fs_line4	dir[2];
};

/* One direction of an IPv6 flow: two cache lines. */
struct fs_line6 {
	__u64			id;	/* enum fs_id */
	__u64			lo[2];	/* network order */
	__u64			hi[2];
	struct fs_counts	counts;
	__u64			pad[5];
};
_Static_assert(sizeof(struct fs_line6) == 128, "fs_line6 is not two cache lines");

struct fs_place6 {
	struct fs_line6	dir[2];
};

/* The places one probe looks at lie together, so that they share a page. */
struct fs_bucket4 {
	struct fs_place4 place[FS_BUCKET];
};

struct fs_bucket6 {
	struct fs_place6 place[FS_BUCKET];
};

/* TCP states; the values are those of flow.State. */
enum fs_state {
	FS_ACTIVE,
	FS_SYN_SENT,
	FS_SYN_RECEIVED,
	FS_ESTABLISHED,
	FS_FIN_WAIT,
	FS_CLOSING,
	FS_CLOSED,
	FS_RESET,
};

/* How the initiator is known; the values are those of flow.Orientation. */
enum fs_orientation {
	FS_FIRST_SEEN,
	FS_BY_SYN_ACK,
	FS_BY_SYN,
};

/* The state word of a flow, from its low end. A bit of direction 0 has its twin for
 * direction 1 one higher.
 */
enum fs_tcp {
	FS_TCP_STATE		= 0xf,		/* enum fs_state */
	FS_TCP_INITIATOR	= 1 << 4,	/* the direction the initiator sends in */
	FS_TCP_ORIENT_SHIFT	= 5,		/* enum fs_orientation, 2 bits */
	FS_TCP_SYN		= 1 << 8,	/* direction has sent a SYN: isn is valid */
	FS_TCP_FIN		= 1 << 10,	/* ... a FIN: next_seq is its end */
	FS_TCP_SPOKE		= 1 << 12,	/* ... an ACK or payload */
	FS_TCP_SEEN		= 1 << 14,	/* ... anything: next_seq is valid */
	FS_TCP_LAST_FIN		= 1 << 16,	/* the direction of the later FIN */
	FS_TCP_RESENT_SYN	= 1 << 17,	/* some SYN came twice: no handshake times */
	FS_TCP_SYN_ACK_TIMED	= 1 << 18,	/* SYN to SYN+ACK: first of both directions */
	FS_TCP_ACK_TIMED	= 1 << 19,	/* SYN+ACK to ACK: the delay below */
	FS_TCP_DELAY_SHIFT	= 24,		/* that delay, ns, 40 bits; 0: longer */
};

/* What is touched rarely of one direction. An RTT is from its segment to the peer's
 * ACK (RFC 6298, Karn's rule). Two numbers of 48 bits are cut in two parts.
 */
struct fs_cold_side {
	__u64	first;			/* smallest packet time */
	__u32	rtt_sum;		/* ns */
	__u32	rtt_min;		/* ns; a longer sample goes up as FS_RECORD_RTT */
	__u32	rtt_max;
	__u32	rtt_samples;
	__u32	timed_at;		/* the segment timed last: its time */
	__u32	timed_end;		/* ... and its end */
	__u32	isn;			/* of its SYN */
	__u32	duplicate_acks;
	__u32	lost;			/* enum fs_lost: since the last record that went up */
	__u16	rtt_sum_high;
	__u16	timed_at_high;
	__u16	ack;			/* fold of ack and window of the last pure ACK */
	__u16	zero_windows;		/* announced after another window */
	__u16	zero_packets;		/* with window 0, RSTs out */
	__u16	retransmissions;	/* segments that end at next_seq or before */
};
_Static_assert(sizeof(struct fs_cold_side) == 56, "fs_cold_side has holes");

struct fs_cold {
	__u64			tcp;		/* enum fs_tcp */
	__u32			generation;	/* of the place, 1 for its first flow */
	__u8			ttl_min[2];
	__u8			ttl_max[2];
	struct fs_cold_side	dir[2];
};
_Static_assert(sizeof(struct fs_cold) == 128, "fs_cold is not two cache lines");

/* A flow's key outside the table. */
struct fs_flow_key {
	__u8	lo[16];		/* lower endpoint; IPv4 is IPv4-mapped */
	__u8	hi[16];
	__u16	lo_port;
	__u16	hi_port;
	__u32	context;
	__u8	proto;
	__u8	ip_version;
	__u8	pad[2];
};
_Static_assert(sizeof(struct fs_flow_key) == 44, "fs_flow_key has holes");

/* The account of a flow that found no place, one direction. */
struct fs_spill_side {
	__u64	packets;
	__u64	bytes;
	__u64	ip_bytes;
	__u64	payload_bytes;
	__u64	first;		/* of the packet that opened the account */
	__u64	last;
	__u8	tcp_flags;
	__u8	ttl_min;
	__u8	ttl_max;
	__u8	pad[5];
};
_Static_assert(sizeof(struct fs_spill_side) == 56, "fs_spill_side has holes");

struct fs_spill {
	struct fs_spill_side dir[2];
};

/* ---- What is counted for all flows together ---- */

/* The keys of the counter map. Of frames FS_COUNT_SEEN = FS_COUNT_TRACKED + the sum of
 * FS_COUNT_UNPARSED + cause, once no fragment waits for the first of its datagram;
 * FS_COUNT_SPILLED is a part of FS_COUNT_TRACKED.
 */
enum fs_counter {
	FS_COUNT_SEEN,			/* frames */
	FS_COUNT_TRACKED,
	FS_COUNT_SPILLED,		/* tracked in the spill map */
	FS_COUNT_LOST_RACE,		/* ... because a twin claimed the place too slowly */
	FS_COUNT_CLAIMED,		/* flows that got a place; no bytes */
	FS_COUNT_RING_RECORDS,		/* records and their bytes */
	FS_COUNT_RING_PAYLOAD,		/* ... those with payload, and its bytes */
	FS_COUNT_RING_DROPPED,		/* records; payload bytes they would have had */
	FS_COUNT_LOAD_FAILED,		/* payload that could not be read from the frame */
	FS_COUNT_FRAGMENTS_FULL,	/* fragments of datagrams there was no room for */
	FS_COUNT_DECAP_DEPTH,		/* tracked outside a tunnel too many */
	FS_COUNT_UNPARSED,		/* + enum fs_cause */
	FS_COUNTERS		= FS_COUNT_UNPARSED + FS_CAUSES,
};

struct fs_tally {
	__u64	packets;
	__u64	bytes;
};

/* ---- What readers of pinned maps have to know (docs/abi.md) ---- */

/* Written once, by who makes the maps; version last. The sizes are those of the structs
 * named, in bytes.
 */
struct fs_abi {
	__u32	version;	/* enum fs_abi_version; 0: not written yet */
	__u32	clock;		/* of all times: CLOCK_MONOTONIC */
	__u64	seed;		/* of the table's hash */
	__u32	workers;	/* regions of the table, and rings */
	__u32	buckets4;	/* of one region */
	__u32	buckets6;
	__u16	bucket;		/* places in a bucket: FS_BUCKET */
	__u16	counters;	/* FS_COUNTERS */
	__u16	place4;
	__u16	place6;
	__u16	cold;
	__u16	flow_key;
	__u16	spill;
	__u16	tally;
	__u16	ledger;
	__u16	record;
	__u16	start;
	__u16	fragment;
	__u8	pad[12];
	__u8	loader[16];	/* who made the maps, padded with 0 */
};
_Static_assert(sizeof(struct fs_abi) == 80, "fs_abi has holes");

/* What was written of flows that are in no map any more. */
struct fs_total {
	__u64	packets;
	__u64	bytes;
	__u64	spilled;	/* packets of flows without a place */
};

/* What the reader has written, so that another one that goes on after it, even after
 * it was killed, counts every packet once: the packets of the table and the spill maps and
 * those in the ledger add up to FS_COUNT_TRACKED.
 *
 * A place is freed between two stores: intent names it, then it is freed, then intent says
 * which of the totals counts from now on.
 */
enum fs_intent {
	FS_INTENT_TOTAL		= 1,	/* mask: the total that counts */
	FS_INTENT_SLOT_SHIFT	= 32,	/* the place that is being freed, + 1; 0: none */
};

struct fs_ledger {
	__u64		intent;		/* enum fs_intent */
	__u32		generation;	/* of the place in intent */
	__u32		pad;
	struct fs_total	total[2];
	struct fs_tally	unparsed[FS_CAUSES];	/* what summaries have told */
};
_Static_assert(sizeof(struct fs_ledger) == 16 + 48 + 128, "fs_ledger has holes");

/* ---- Records in the rings ---- */

/* What a record is about. With the bit FS_RECORD_START its header is followed by struct
 * fs_start and struct fs_fragment, of a fragment by the latter alone; then come cap_len
 * bytes of payload.
 */
enum fs_kind {
	FS_RECORD_OTHER,	/* a packet that is none of these */
	FS_RECORD_TCP,
	FS_RECORD_DATAGRAM,
	FS_RECORD_FRAGMENT,	/* the payload is that of the IP packet */
	FS_RECORD_RTT,		/* seq, ack: a sample of dir, high and low half */
};

enum fs_record_bits {
	FS_RECORD_START		= 1 << 0,	/* the flow got its place: what its packet says */
	FS_RECORD_UNWANTED	= 1 << 1,	/* payload left out on purpose */
};

/* Bits of lost. */
enum fs_lost {
	FS_LOST_BYTES	= 0x7fffffff,	/* payload; saturates */
	FS_LOST_RECORDS	= 0x80000000,	/* at least one record was lost */
};

/* One packet, one record. Fields that a kind has no use for are 0. */
struct fs_record {
	__u64	time;
	__u32	slot;		/* enum fs_slot */
	__u32	generation;
	__u32	seq;
	__u32	ack;
	__u32	tsval;
	__u32	tsecr;
	__u32	payload_len;	/* by the headers */
	__u32	cap_len;	/* payload in the record */
	__u32	lost;		/* enum fs_lost: of this direction, before this record */
	__u16	window;		/* as sent */
	__u16	urgent;
	__u16	mss;
	__u8	wscale;
	__u8	tcp_flags;
	__u8	kind;		/* enum fs_kind */
	__u8	dir;		/* 0: from the lower endpoint */
	__u8	options;	/* enum fs_tcp_option_bits */
	__u8	bits;		/* enum fs_record_bits */
};
_Static_assert(sizeof(struct fs_record) == 56, "fs_record has holes");

/* What the first packet of a flow says. */
struct fs_start {
	struct fs_flow_key	key;
	__u32			replaces;	/* slot of the flow whose tuple it reuses */
	__u32			flow_label;
	__u16			vlans[FS_MAX_VLANS];	/* outermost first */
	__u8			src_mac[6];
	__u8			dst_mac[6];
	__u8			n_vlans;
	__u8			n_tunnels;
	__u8			icmp_type;
	__u8			icmp_code;
	__u8			has_mac;	/* bit 0: source, bit 1: destination */
	__u8			late;		/* 1: of a later packet, the first was lost */
	struct fs_tunnel	tunnels[FS_MAX_TUNNELS];	/* n_tunnels of them */
	__u32			replaces_generation;
};
_Static_assert(sizeof(struct fs_start) == 76 + 160 + 4, "fs_start has holes");

/* One IP fragment; FS_SLOT_NONE while its flow is not known. */
struct fs_fragment {
	__u8	src[16];	/* IPv4 is IPv4-mapped */
	__u8	dst[16];
	__u32	id;
	__u16	off;		/* bytes */
	__u8	proto;		/* of the datagram, as its fragments say it */
	__u8	ip_version;
	__u8	more;		/* 1: not the last one */
	__u8	pad[7];
};
_Static_assert(sizeof(struct fs_fragment) == 48, "fs_fragment has holes");

#endif
