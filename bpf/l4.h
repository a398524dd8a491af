/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* l4.h: what both paths of the parser do with a TCP, UDP or ICMP header.
 *
 * The caller has made sure that the bytes named by the header type can be read;
 * nothing here looks further. A function fills in its fields and cannot fail.
 */
#ifndef FS_L4_H
#define FS_L4_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>
#include "packet.h"

#define FS_TCP_MIN		20
#define FS_UDP_LEN		8
#define FS_ICMP_LEN		8
#define FS_SCTP_LEN		12
#define FS_ONE_WAY_WORD		256	/* SEMANTICS 2.2: destination word = 256 + code */

/* ICMP types that come in pairs. linux/icmp.h would draw in the C library. */
enum fs_icmp_type {
	FS_ICMP_ECHO_REPLY		= 0,
	FS_ICMP_ECHO			= 8,
	FS_ICMP_ROUTER_ADVERT		= 9,
	FS_ICMP_ROUTER_SOLICIT		= 10,
	FS_ICMP_TIMESTAMP		= 13,
	FS_ICMP_TIMESTAMP_REPLY		= 14,
	FS_ICMP_INFO			= 15,
	FS_ICMP_INFO_REPLY		= 16,
	FS_ICMP_MASK			= 17,
	FS_ICMP_MASK_REPLY		= 18,
	FS_ICMP6_ECHO			= 128,
	FS_ICMP6_ECHO_REPLY		= 129,
	FS_ICMP6_LISTENER_QUERY		= 130,
	FS_ICMP6_LISTENER_REPORT	= 131,
	FS_ICMP6_ROUTER_SOLICIT		= 133,
	FS_ICMP6_ROUTER_ADVERT		= 134,
	FS_ICMP6_NEIGHBOR_SOLICIT	= 135,
	FS_ICMP6_NEIGHBOR_ADVERT	= 136,
	FS_ICMP6_NODE_INFO		= 139,
	FS_ICMP6_NODE_INFO_REPLY	= 140,
	FS_ICMP6_HOME_AGENT		= 144,
	FS_ICMP6_HOME_AGENT_REPLY	= 145,
};

/* The ports are the first four bytes of TCP, UDP and SCTP alike. */
static __always_inline void fs_ports(struct fs_packet *p, const __be16 *ports)
{
	p->sport = bpf_ntohs(ports[0]);
	p->dport = bpf_ntohs(ports[1]);
}

static __always_inline void fs_tcp_fields(struct fs_packet *p, const struct tcphdr *tcp)
{
	p->seq = bpf_ntohl(tcp->seq);
	p->ack = bpf_ntohl(tcp->ack_seq);
	p->window = bpf_ntohs(tcp->window);
	p->urgent = bpf_ntohs(tcp->urg_ptr);
	p->tcp_flags = ((const __u8 *)tcp)[13];
	p->bits |= FS_PKT_TCP;
}

/* fs_icmp_peer returns the type that answers type, or -1 for a one-way type. */
static __always_inline int fs_icmp_peer(__u8 type)
{
	switch (type) {
	case FS_ICMP_ECHO:
		return FS_ICMP_ECHO_REPLY;
	case FS_ICMP_ECHO_REPLY:
		return FS_ICMP_ECHO;
	case FS_ICMP_ROUTER_SOLICIT:
		return FS_ICMP_ROUTER_ADVERT;
	case FS_ICMP_ROUTER_ADVERT:
		return FS_ICMP_ROUTER_SOLICIT;
	case FS_ICMP_TIMESTAMP:
		return FS_ICMP_TIMESTAMP_REPLY;
	case FS_ICMP_TIMESTAMP_REPLY:
		return FS_ICMP_TIMESTAMP;
	case FS_ICMP_INFO:
		return FS_ICMP_INFO_REPLY;
	case FS_ICMP_INFO_REPLY:
		return FS_ICMP_INFO;
	case FS_ICMP_MASK:
		return FS_ICMP_MASK_REPLY;
	case FS_ICMP_MASK_REPLY:
		return FS_ICMP_MASK;
	}
	return -1;
}

static __always_inline int fs_icmp6_peer(__u8 type)
{
	switch (type) {
	case FS_ICMP6_ECHO:
		return FS_ICMP6_ECHO_REPLY;
	case FS_ICMP6_ECHO_REPLY:
		return FS_ICMP6_ECHO;
	case FS_ICMP6_LISTENER_QUERY:
		return FS_ICMP6_LISTENER_REPORT;
	case FS_ICMP6_LISTENER_REPORT:
		return FS_ICMP6_LISTENER_QUERY;
	case FS_ICMP6_ROUTER_SOLICIT:
		return FS_ICMP6_ROUTER_ADVERT;
	case FS_ICMP6_ROUTER_ADVERT:
		return FS_ICMP6_ROUTER_SOLICIT;
	case FS_ICMP6_NEIGHBOR_SOLICIT:
		return FS_ICMP6_NEIGHBOR_ADVERT;
	case FS_ICMP6_NEIGHBOR_ADVERT:
		return FS_ICMP6_NEIGHBOR_SOLICIT;
	case FS_ICMP6_NODE_INFO:
		return FS_ICMP6_NODE_INFO_REPLY;
	case FS_ICMP6_NODE_INFO_REPLY:
		return FS_ICMP6_NODE_INFO;
	case FS_ICMP6_HOME_AGENT:
		return FS_ICMP6_HOME_AGENT_REPLY;
	case FS_ICMP6_HOME_AGENT_REPLY:
		return FS_ICMP6_HOME_AGENT;
	}
	return -1;
}

/* fs_icmp_fields needs the first two bytes of the ICMP header. The key words make
 * request and reply one flow, and let no two one-way directions meet.
 */
static __always_inline void fs_icmp_fields(struct fs_packet *p, const __u8 *icmp)
{
	int peer;

	p->icmp_type = icmp[0];
	p->icmp_code = icmp[1];
	peer = p->proto == IPPROTO_ICMP ? fs_icmp_peer(icmp[0]) : fs_icmp6_peer(icmp[0]);
	p->sport = icmp[0];
	p->dport = peer >= 0 ? peer : FS_ONE_WAY_WORD + icmp[1];
}

#endif
