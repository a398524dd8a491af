/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bench.bpf.c: what tests/bench needs besides the program it measures: packets, and
 * nothing to measure. Not part of the product.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_CPUS	16
#define STEP		16	/* sequence numbers from one packet to the next, of any flow */
#define FIRST_PORT	1024

/* Each packet is of one of so many flows, by chance; it leaves through oif. */
const volatile __u32 flows = 1;
const volatile __u32 oif;

/* Counter and random state of each CPU, a cache line apart. */
struct source {
	__u64	count;
	__u64	random;
	__u64	pad[6];
} sources[MAX_CPUS];

static __always_inline __u64 next_random(struct source *s)
{
	__u64 x = s->random ? s->random : 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return s->random = x;
}

/* generate makes its frame, a TCP segment, one of some flow. Port and address name the flow. */
SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct tcphdr *tcp = (void *)(ip + 1);
	struct source *s = &sources[bpf_get_smp_processor_id() & (MAX_CPUS - 1)];
	__u32 flow;

	if ((void *)(tcp + 1) > end)
		return XDP_DROP;
	flow = (next_random(s) >> 32) * flows >> 32;
	ip->saddr = bpf_htonl(0x0a090000 | flow >> 8);
	tcp->source = bpf_htons(FIRST_PORT + (flow & 0xffff));
	tcp->seq = bpf_htonl(s->count++ * STEP);	/* never sent twice */
	return bpf_redirect(oif, 0);
}

SEC("xdp.frags")
int empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
