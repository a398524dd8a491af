/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* hash.bpf.c: the same program over plain hash maps, for tests/bench to compare. Not
 * part of the product.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "hash_table.h"
#include "../flowscope.bpf.c"
