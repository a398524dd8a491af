/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* packet.h: a decoded frame, the C twin of packet.Packet. parse.h fills it; the
 * table, the TCP step and the emitter read it.
 *
 * Numbers are in host order, addresses in network order. Where nothing else is said
 * offsets count from the start of the frame, inside tunnels too; headers beyond
 * 65535 cannot be read.
 */
#ifndef FS_PACKET_H
#define FS_PACKET_H

#include <stdbool.h>
#include "abi.h"

/* What is known of a packet, in fs_packet.bits. */
enum fs_packet_bits {
	FS_PKT_TCP		= 1 << 0,	/* the TCP fields are valid */
	FS_PKT_CUT		= 1 << 1,	/* part of the IP packet was not captured */
	FS_PKT_SRC_MAC		= 1 << 2,	/* source MAC at src_mac_off */
	FS_PKT_DST_MAC		= 1 << 3,	/* destination MAC at offset 0 */
	FS_PKT_DECAP_DEPTH	= 1 << 4,	/* one more tunnel than the limit */
	FS_PKT_FRAG_FIRST	= 1 << 5,	/* fragment, offset 0: has the ports */
	FS_PKT_FRAG_LATER	= 1 << 6,	/* fragment without L4 header */
	FS_PKT_FRAG_MORE	= 1 << 7,	/* not the last fragment */
};

#define FS_PKT_FRAG	(FS_PKT_FRAG_FIRST | FS_PKT_FRAG_LATER)

/* An IPv4 address is v4 with the other words zero, so that equal addresses of
 * one version are equal in all 16 bytes.
 */
union fs_addr {
	__u8	b[16];
	__be32	v4;
	__be32	w[4];
	__u64	q[2];
};

struct fs_packet {
	__u64		time;		/* ns; bpf_ktime_get_ns, or since 1970 in a replay */
	union fs_addr	src;
	union fs_addr	dst;
	__u32		wire_len;	/* on the wire, without FCS; with GSO all segments */
	__u32		cap_len;	/* bytes of the frame that can be read */
	__u32		ip_len;		/* of the IP packet that carries the flow; the same */
	__u32		payload_off;
	__u32		payload_cap;	/* captured */
	__u32		payload_len;	/* by the headers */
	__u32		seq;
	__u32		ack;
	__u32		frag_id;
	__u32		flow_label;	/* of the innermost IPv6 header */
	__u16		window;		/* as sent, not scaled */
	__u16		urgent;
	__u16		sport;		/* ICMP: the two words of Community ID */
	__u16		dport;
	__u16		l3_off;		/* of the innermost IP header */
	__u16		l4_off;		/* behind IP header and extensions */
	__u16		frag_start;	/* of the fragment's data: behind the header that says so */
	__u16		frag_off;	/* of its data in the datagram, in bytes */
	__u16		segs;		/* wire packets; above 1 with GSO only */
	__u16		bits;		/* enum fs_packet_bits */
	__u16		vlans[FS_MAX_VLANS];	/* ids, outermost first */
	__u8		n_vlans;
	__u8		n_tunnels;	/* layers of the frame: fs_tunnels() */
	__u8		ip_version;	/* 4 or 6 */
	__u8		proto;
	__u8		ttl;
	__u8		tcp_flags;	/* FIN 0x01 to CWR 0x80 */
	__u8		tcp_optlen;	/* option bytes behind the 20 of the header */
	__u8		icmp_type;
	__u8		icmp_code;
	__u8		frag_proto;	/* of the datagram, as its fragments say it */
	__u8		src_mac_off;
	__u8		pad[3];
};
_Static_assert(sizeof(struct fs_packet) == 120, "fs_packet has holes");

/* The TCP options the project reads; the values are those of flow.TCPOptions. */
enum fs_tcp_option_bits {
	FS_OPT_MSS		= 1 << 0,
	FS_OPT_WSCALE		= 1 << 1,
	FS_OPT_SACK_PERMITTED	= 1 << 2,
	FS_OPT_TIMESTAMPS	= 1 << 3,
	FS_OPT_SIGNATURE	= 1 << 4,	/* MD5 or TCP-AO */
};

/* Read from the frame only where they are needed: fs_tcp_options(). */
struct fs_tcp_options {
	__u32	tsval;
	__u32	tsecr;
	__u16	mss;
	__u8	wscale;		/* as sent, may exceed 14 */
	__u8	bits;		/* enum fs_tcp_option_bits */
};

/* The layers of encapsulation of the packet in hand, outermost first. */
struct fs_tunnels {
	struct fs_tunnel layer[FS_MAX_TUNNELS];
};

#endif
