/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* abi.h: the only contract with user space. bpf2go turns it into package gen.
 *
 * Every struct has fixed-width types, spelled-out padding and an asserted size.
 * Numbers are in host order unless the type says __be16 or __be32.
 */
#ifndef FS_ABI_H
#define FS_ABI_H

#define FS_ABI_VERSION	1

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

#endif
