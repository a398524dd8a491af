/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* options.h: TCP options, read only for the packets that somebody wants them of. The
 * frame must be the one that parse.h has just decoded on this CPU.
 *
 * Options are read up to the first that is cut or has a bad length; a known kind of
 * another length than its RFC says is passed over.
 */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

#include "parse.h"

#define FS_TCP_OPTIONS_MAX	40

/* RFC 9293 §3.2, RFC 7323, RFC 2018, RFC 2385, RFC 5925 */
enum fs_tcp_option {
	FS_TCP_OPT_END		= 0,
	FS_TCP_OPT_NOP		= 1,
	FS_TCP_OPT_MSS		= 2,
	FS_TCP_OPT_WSCALE	= 3,
	FS_TCP_OPT_SACK_PERM	= 4,
	FS_TCP_OPT_TIMESTAMP	= 8,
	FS_TCP_OPT_MD5		= 19,
	FS_TCP_OPT_AO		= 29,
};

/* What nearly every segment of a connection with timestamps begins with: two NOPs, kind
 * and length.
 */
#define FS_TIMESTAMPS_ALONE	0x0101080a
#define FS_TIMESTAMPS_LEN	12

/* option_read reads one option of len bytes at h. */
static __always_inline void option_read(struct fs_tcp_options *o, const __u8 *h, __u8 len)
{
	switch (h[0]) {
	case FS_TCP_OPT_TIMESTAMP:
		if (len != 10)
			return;
		o->bits |= FS_OPT_TIMESTAMPS;
		o->tsval = walk_u32(h + 2);
		o->tsecr = walk_u32(h + 6);
		return;
	case FS_TCP_OPT_MSS:
		if (len != 4)
			return;
		o->bits |= FS_OPT_MSS;
		o->mss = walk_u16(h + 2);
		return;
	case FS_TCP_OPT_WSCALE:
		if (len != 3)
			return;
		o->bits |= FS_OPT_WSCALE;
		o->wscale = h[2];
		return;
	case FS_TCP_OPT_SACK_PERM:
		if (len == 2)
			o->bits |= FS_OPT_SACK_PERMITTED;
		return;
	case FS_TCP_OPT_MD5:
	case FS_TCP_OPT_AO:
		o->bits |= FS_OPT_SIGNATURE;
	}
}

/* fs_option_next reads the option at w->off of w->win_len bytes in the window and
 * returns whether another one may follow. It is a function of its own so that the
 * verifier does not follow every sum of option lengths.
 */
__noinline int fs_option_next(struct fs_walk *w)
{
	__u32 pos, left;
	const __u8 *h;

	if (!w)
		return 0;
	pos = w->off;
	if (pos >= w->win_len || pos >= FS_TCP_OPTIONS_MAX)
		return 0;
	left = w->win_len - pos;
	h = w->window + pos;
	if (h[0] == FS_TCP_OPT_END)
		return 0;
	if (h[0] == FS_TCP_OPT_NOP) {
		w->off = pos + 1;
		return 1;
	}
	if (left < 2 || h[1] < 2 || h[1] > left)
		return 0;
	option_read(&w->options, h, h[1]);
	w->off = pos + h[1];
	return 1;
}

/* options_walk reads the len bytes of options in the window. */
static __always_inline void options_walk(struct fs_walk *w, __u32 len, struct fs_tcp_options *o)
{
	int i;

	__builtin_memset(&w->options, 0, sizeof(w->options));
	w->off = 0;
	w->win_len = len;
	for (i = 0; i < FS_TCP_OPTIONS_MAX; i++)
		if (!fs_option_next(w))
			break;
	*o = w->options;
}

/* options_alone takes timestamps without other options directly from the frame. */
static __always_inline bool options_alone(const __u8 *data, const __u8 *end, __u32 off, __u32 len,
					  struct fs_tcp_options *o)
{
	const __be32 *word;

	if (len != FS_TIMESTAMPS_LEN)
		return false;
	asm volatile("" : "+r"(off));	/* so that off is compared, not what it is the sum of */
	if (off > FS_OFFSET_MAX - FS_WINDOW)
		return false;
	word = (const __be32 *)(data + off);
	if ((const __u8 *)(word + 3) > end || word[0] != bpf_htonl(FS_TIMESTAMPS_ALONE))
		return false;
	o->bits = FS_OPT_TIMESTAMPS;
	o->tsval = bpf_ntohl(word[1]);
	o->tsecr = bpf_ntohl(word[2]);
	return true;
}

/* fs_options_xdp reads the options of p, if it has any, into o, which the caller has
 * zeroed. The window of the walk is overwritten.
 */
static __always_inline void fs_options_xdp(struct xdp_md *ctx, const struct fs_packet *p,
					   struct fs_tcp_options *o)
{
	__u32 off = p->l4_off + FS_TCP_MIN, len = p->tcp_optlen;
	struct fs_walk *w;

	if (!len || len > FS_TCP_OPTIONS_MAX)
		return;
	if (options_alone((void *)(long)ctx->data, (void *)(long)ctx->data_end, off, len, o))
		return;
	w = fs_walk_of(FS_HOOK_XDP);
	if (!w || fs_walk_load_xdp(ctx, off, len))
		return;
	options_walk(w, len, o);
}

/* fs_options_skb is the same for tc. */
static __always_inline void fs_options_skb(struct __sk_buff *skb, const struct fs_packet *p,
					   struct fs_tcp_options *o)
{
	__u32 off = p->l4_off + FS_TCP_MIN, len = p->tcp_optlen;
	struct fs_walk *w;

	if (!len || len > FS_TCP_OPTIONS_MAX)
		return;
	if (options_alone((void *)(long)skb->data, (void *)(long)skb->data_end, off, len, o))
		return;
	w = fs_walk_of(FS_HOOK_TC);
	if (!w || fs_walk_load_skb(skb, off, len))
		return;
	options_walk(w, len, o);
}

#endif
