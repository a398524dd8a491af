/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* config.h: the knobs that user space sets when it loads the programs. What is
 * constant at load time costs nothing: the verifier removes the dead branch.
 */
#ifndef FS_CONFIG_H
#define FS_CONFIG_H

#include "abi.h"

/* The kinds of tunnel that are looked into: bit n is enum fs_tunnel_kind n. */
#define FS_DECAP_ALL	0xfffe

const volatile __u32 fs_decap = FS_DECAP_ALL;

/* The UDP ports that tunnels are recognised by. A packet's destination port is asked
 * first; of two entries with one port the first counts; port 0 ends the list.
 */
#define FS_TUNNEL_PORTS	15

const volatile struct fs_tunnel_port fs_tunnel_ports[FS_TUNNEL_PORTS] = {
	{ 6635, FS_TUNNEL_MPLS },	/* RFC 7510 */
	{ 3544, FS_TUNNEL_TEREDO },	/* RFC 4380 */
	{ 5072, FS_TUNNEL_AYIYA },
	{ 4789, FS_TUNNEL_VXLAN },
	{ 8472, FS_TUNNEL_VXLAN },	/* Linux before it had a number */
	{ 4790, FS_TUNNEL_VXLAN },	/* always VXLAN-GPE */
	{ 6081, FS_TUNNEL_GENEVE },
	{ 2152, FS_TUNNEL_GTPU },
};

/* Bit (port & 63) for each of them, so that most packets are through at once. Whoever
 * sets fs_tunnel_ports sets this too.
 */
#define FS_PORT_BIT(port)	(1ULL << ((port) & 63))

const volatile __u64 fs_tunnel_port_mask =
	FS_PORT_BIT(6635) | FS_PORT_BIT(3544) | FS_PORT_BIT(5072) |
	FS_PORT_BIT(4789) | FS_PORT_BIT(8472) | FS_PORT_BIT(4790) |
	FS_PORT_BIT(6081) | FS_PORT_BIT(2152);

/* 1: time in steps of a kernel tick, 1 to 10 ms; cheaper where reading the clock is not. */
const volatile __u8 fs_coarse_clock = 0;

/* 0: the kernel has no multi-buffer XDP (before 5.18) nor the helpers for it. */
const volatile __u8 fs_frags = 1;

/* 1: time, lengths and link type come from struct fs_replay_meta before each
 * frame (BPF_PROG_TEST_RUN); a frame without it is counted as link_type.
 */
const volatile __u8 fs_replay = 0;

/* Chosen anew by each loader, so that nobody outside can pick flows of one bucket. */
const volatile __u64 fs_seed = 0;

/* How many rings, and with them regions of the table, there are; how many buckets
 * of each table one region has.
 */
const volatile __u32 fs_workers = 1;
const volatile __u32 fs_buckets4 = 1;
const volatile __u32 fs_buckets6 = 1;

/* Control bits that the lines of a new flow begin with (enum fs_control). */
const volatile __u8 fs_control_tcp = 0;
const volatile __u8 fs_control_udp = 0;

/* 1: VLAN ids, kinds and ids of tunnels are part of the key. */
const volatile __u8 fs_key_vlan = 0;
const volatile __u8 fs_key_tunnel = 0;

/* A reader is woken by each so many records of one CPU (a power of two; 0: never), or
 * when so many bytes wait in a ring. Both ends also wait with a deadline.
 */
const volatile __u32 fs_wake_records = 256;
const volatile __u64 fs_wake_bytes = 1 << 20;

#endif
