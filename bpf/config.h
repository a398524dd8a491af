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

/* UDP ports of the kinds whose ports can be set; 0 is no port. */
#define FS_TUNNEL_PORTS	4

const volatile __u16 fs_vxlan_ports[FS_TUNNEL_PORTS] = { 4789, 8472 };
const volatile __u16 fs_gtpu_ports[FS_TUNNEL_PORTS] = { 2152 };

/* 1: time, lengths and link type come from struct fs_replay_meta before each
 * frame (BPF_PROG_TEST_RUN); a frame without it is counted as link_type.
 */
const volatile __u8 fs_replay = 0;

#endif
