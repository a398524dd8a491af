/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bench.bpf.c: what tests/bench needs besides the program it measures: packets, and
 * nothing to measure. Not part of the product.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_CPUS	16
#define STEP		16	/* sequence numbers from one packet to the next, of any flow */
#define FIRST_PORT	1024

/* Each packet is of one of so many flows: of the next one if in_turn is 1, else by chance.
 * It leaves through oif. Each CPU has flows of its own if apart is 1.
 */
const volatile __u32 flows = 1;
const volatile __u32 in_turn;
const volatile __u32 apart;
const volatile __u32 oif;

/* Counter and random state of each CPU, a cache line apart. */
struct source {
	__u64	count;
	__u64	random;
	__u64	pad[6];
} sources[MAX_CPUS];

static __always_inline __u64 next_random(struct source *s, __u32 cpu)
{
	__u64 x = s->random ? s->random : 88172645463325252ULL + cpu;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return s->random = x;
}

/* next_flow sets seq, too: no segment is sent twice. */
static __always_inline __u32 next_flow(__be32 *seq)
{
	__u32 cpu = bpf_get_smp_processor_id() & (MAX_CPUS - 1);
	struct source *s = &sources[cpu];
	__u64 n = s->count++;
	__u32 flow = in_turn ? n % flows : (next_random(s, cpu) >> 32) * flows >> 32;

	*seq = bpf_htonl(n * STEP);
	return apart ? cpu * flows + flow : flow;
}

/* mark makes the frame one of a flow, which address and port name. */
static __always_inline bool mark(__be32 *addr, struct tcphdr *tcp, void *end)
{
	__be32 seq;
	__u32 flow;

	if ((void *)(tcp + 1) > end)
		return false;
	flow = next_flow(&seq);
	*addr = bpf_htonl(0x0a090000 | flow >> 8);
	tcp->source = bpf_htons(FIRST_PORT + (flow & 0xffff));
	tcp->seq = seq;
	return true;
}

/* generate makes its frame, a TCP segment over IPv4 or IPv6, one of some flow. */
SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	bool ok;

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		ok = mark(&ip6->saddr.s6_addr32[3], (void *)(ip6 + 1), end);
	else
		ok = mark(&ip->saddr, (void *)(ip + 1), end);
	return ok ? bpf_redirect(oif, 0) : XDP_DROP;
}

SEC("xdp.frags")
int empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
