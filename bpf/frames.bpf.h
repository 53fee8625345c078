/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* HTTP/2's frames (RFC 9113 section 4) in the packets of one direction of a
 * connection, and the streams that they open and end. stream.bpf.c finds the packets.
 */
#pragma once

#include "stream.bpf.h"

#define FRAME_HEADER 9
#define FRAMES_MAX 65536 /* more than fit into the largest packet */

enum frame_type {
	FRAME_DATA,
	FRAME_HEADERS,
	FRAME_PRIORITY,
	FRAME_RST_STREAM,
	FRAME_SETTINGS,
	FRAME_PUSH_PROMISE,
	FRAME_PING,
	FRAME_GOAWAY,
	FRAME_WINDOW_UPDATE,
	FRAME_CONTINUATION,
	FRAME_TYPES,
};

#define FLAG_END_STREAM 1

/* One packet on its way through the frames. */
struct walk {
	struct __sk_buff *skb;
	struct stream_connection *conn;
	struct stream_side *side;
	struct stream_row *row;
	__u64 now_ns;
	__u32 samples;	/* followed.samples */
	__u32 pad;
};

static __always_inline struct stream_cursor *cursor_of(struct walk *w)
{
	return &w->side->cursors[w->side->step.early & 1];
}

static __always_inline struct stream_counters *counters(struct stream_row *row, __u8 role)
{
	return role == ROLE_SERVER ? &row->outstanding : &row->downstream;
}

static __always_inline void add_bucket(__u32 *counts, __u32 bucket)
{
	barrier_var(bucket); /* older verifiers lose the bound if another register is compared */
	if (bucket < LATENCY_BUCKETS)
		__sync_fetch_and_add(&counts[bucket], 1);
}

/* Takes all that is open on a connection out of its queue: it closes, or where its
 * frames begin was lost. What ends of it later does not count.
 */
static __always_inline void abandon(struct stream_connection *conn, struct stream_row *row, __u64 now_ns)
{
	struct stream_counters *c = counters(row, conn->role);
	__u32 open = conn->open;

	conn->epoch++;
	conn->open = 0;
	if (!open || (__s32)open < 0)
		return;
	__sync_fetch_and_add(&c->departures, open);
	__sync_fetch_and_add(&c->out_ns, open * now_ns);
	__sync_fetch_and_add(&c->unanswered, open);
}

static __always_inline void open_stream(struct walk *w, __u32 stream)
{
	struct stream_counters *c = counters(w->row, w->conn->role);
	struct stream_key key = {.cookie = w->conn->cookie, .stream = stream};
	struct stream_value value = {.opened_ns = w->now_ns, .epoch = w->conn->epoch};

	if (stream > w->conn->last)
		w->conn->last = stream;
	if (w->conn->blind)
		return; /* its end would not be seen */
	if (bpf_map_update_elem(&open_streams, &key, &value, BPF_ANY)) {
		count_loss(LOSS_STREAMS_FULL);
		return;
	}
	__sync_fetch_and_add(&w->conn->open, 1);
	__sync_fetch_and_add(&c->arrivals, 1);
	__sync_fetch_and_add(&c->in_ns, w->now_ns);
}

static __always_inline bool is_open(struct walk *w, __u32 stream)
{
	struct stream_key key = {.cookie = w->conn->cookie, .stream = stream};

	return bpf_map_lookup_elem(&open_streams, &key);
}

/* The answer begins: its first HEADERS. */
static __always_inline void answer_stream(struct walk *w, __u32 stream)
{
	struct stream_key key = {.cookie = w->conn->cookie, .stream = stream};
	struct stream_value *value = bpf_map_lookup_elem(&open_streams, &key);

	if (!value || value->answered || value->epoch != w->conn->epoch)
		return;
	value->answered = 1;
	add_bucket(counters(w->row, w->conn->role)->first, latency_bucket(w->now_ns - value->opened_ns));
}

static __always_inline void close_stream(struct walk *w, __u32 stream, bool reset)
{
	struct stream_counters *c = counters(w->row, w->conn->role);
	struct stream_key key = {.cookie = w->conn->cookie, .stream = stream};
	struct stream_value *value = bpf_map_lookup_elem(&open_streams, &key);
	__u64 opened_ns;
	__u32 epoch;

	if (!value)
		return; /* ended before, or opened before it was followed */
	opened_ns = value->opened_ns;
	epoch = value->epoch;
	if (bpf_map_delete_elem(&open_streams, &key) || epoch != w->conn->epoch)
		return;
	__sync_fetch_and_add(&w->conn->open, -1);
	__sync_fetch_and_add(&c->departures, 1);
	__sync_fetch_and_add(&c->out_ns, w->now_ns);
	if (reset)
		__sync_fetch_and_add(&c->unanswered, 1);
	else
		add_bucket(c->last, latency_bucket(w->now_ns - opened_ns));
}

/* Hands the beginning of a request to Go, unless there were enough this second. */
static __always_inline void sample(struct walk *w, __u32 from)
{
	__u64 second = w->now_ns / 1000000000;
	__u32 length = w->side->step.end - from;
	struct stream_sample *s;

	if (!w->samples)
		return;
	if (w->row->sampled_second != second) {
		w->row->sampled_second = second;
		w->row->sampled = 0;
	}
	if (w->row->sampled >= w->samples)
		return;
	w->row->sampled++;
	s = bpf_ringbuf_reserve(&stream_samples, sizeof(*s), 0);
	if (!s)
		return; /* Go is behind: one name less, and no count */
	s->owner = w->conn->owner;
	s->role = w->conn->role;
	if (length > SAMPLE_MAX)
		length = SAMPLE_MAX;
	s->length = length;
	/* Nothing changes: older verifiers take no other word for it that it is not 0. */
	length--;
	barrier_var(length);
	length = (length & (SAMPLE_MAX - 1)) + 1;
	if (bpf_skb_load_bytes(w->skb, from, s->bytes, length)) {
		bpf_ringbuf_discard(s, 0);
		return;
	}
	bpf_ringbuf_submit(s, 0);
}

static __always_inline __u32 frame_length(const __u8 *h)
{
	return (__u32)h[0] << 16 | (__u32)h[1] << 8 | h[2];
}

static __always_inline __u32 frame_stream(const __u8 *h)
{
	return (__u32)h[5] << 24 | (__u32)h[6] << 16 | (__u32)h[7] << 8 | h[8];
}

/* Whether these nine bytes can be the header of a frame. */
static __always_inline bool plausible(const __u8 *h)
{
	__u32 length = frame_length(h), stream = frame_stream(h);

	if (stream >> 31)
		return false;
	switch (h[3]) {
	case FRAME_DATA:
		return stream && !(h[4] & ~0x09);
	case FRAME_HEADERS:
		return stream && !(h[4] & ~0x2d) && length;
	case FRAME_PRIORITY:
		return stream && length == 5;
	case FRAME_RST_STREAM:
		return stream && length == 4;
	case FRAME_SETTINGS:
		return !stream && length % 6 == 0 && length < 1024;
	case FRAME_PUSH_PROMISE:
		return stream && length >= 4;
	case FRAME_PING:
		return !stream && length == 8;
	case FRAME_GOAWAY:
		return !stream && length >= 8;
	case FRAME_WINDOW_UPDATE:
		return length == 4;
	case FRAME_CONTINUATION:
		return stream;
	}
	/* Extensions: ALTSVC, ORIGIN, PRIORITY_UPDATE. */
	return h[3] == 0x0a || h[3] == 0x0c || h[3] == 0x10;
}

static __always_inline void end_frame(struct walk *w)
{
	struct stream_cursor *cursor = cursor_of(w);

	if (cursor->closes)
		close_stream(w, cursor->closes, cursor->resets);
	cursor->closes = 0;
}

static __always_inline void begin_frame(struct walk *w)
{
	struct stream_cursor *cursor = cursor_of(w);
	const __u8 *h = cursor->header;
	__u32 stream = frame_stream(h);

	cursor->left = frame_length(h);
	cursor->closes = 0;
	cursor->resets = h[3] == FRAME_RST_STREAM;
	/* A client opens streams of odd and growing number; HEADERS of an earlier one
	 * are trailers, but where packets come out of order. */
	if (w->side->step.requests && h[3] == FRAME_HEADERS && stream & 1 &&
	    (stream > w->conn->last || (stream > w->conn->floor && !is_open(w, stream)))) {
		open_stream(w, stream);
		if (cursor->carried == 0)
			sample(w, w->side->step.at - FRAME_HEADER);
	}
	if (!w->side->step.requests && h[3] == FRAME_HEADERS)
		answer_stream(w, stream);
	if (cursor->resets ||
	    (!w->side->step.requests && (h[3] == FRAME_DATA || h[3] == FRAME_HEADERS) && h[4] & FLAG_END_STREAM))
		cursor->closes = stream;
}

/* One step: the rest of a frame, then the header of the next. */
static long follow_frame(__u32 i, struct walk *w)
{
	struct stream_cursor *cursor = cursor_of(w);
	__u32 there = w->side->step.end - w->side->step.at, take, carried;

	if (cursor->left) {
		take = cursor->left < there ? cursor->left : there;
		cursor->left -= take;
		w->side->step.at += take;
		if (cursor->left)
			return 1;
		end_frame(w);
		there = w->side->step.end - w->side->step.at;
	}
	if (!there)
		return 1;
	carried = cursor->carried;
	if (!carried && there >= FRAME_HEADER) {
		if (bpf_skb_load_bytes(w->skb, w->side->step.at, cursor->header, FRAME_HEADER)) {
			w->side->step.broken = 1;
			return 1;
		}
		w->side->step.at += FRAME_HEADER;
	} else {
		if (carried >= FRAME_HEADER) {
			w->side->step.broken = 1;
			return 1;
		}
		take = FRAME_HEADER - carried;
		if (take > there)
			take = there;
		/* Bounds as in sample(): 16 from the 15th are within the 32 of header. */
		take--;
		barrier_var(take);
		barrier_var(carried);
		take = (take & 15) + 1;
		carried &= 15;
		if (bpf_skb_load_bytes(w->skb, w->side->step.at, cursor->header + carried, take)) {
			w->side->step.broken = 1;
			return 1;
		}
		w->side->step.at += take;
		cursor->carried = carried + take;
		if (cursor->carried < FRAME_HEADER)
			return 1;
	}
	if (!plausible(cursor->header)) {
		w->side->step.broken = 1;
		return 1;
	}
	begin_frame(w);
	cursor->carried = 0;
	if (!cursor->left)
		end_frame(w);
	return 0;
}

/* One step along what may be frames. */
static long try_frame(__u32 i, struct walk *w)
{
	struct stream_step *s = &w->side->step;
	__u32 there = s->end - s->try_at;
	__u8 h[FRAME_HEADER];

	if (!there) {
		s->filled = 1;
		return 1;
	}
	if (there < FRAME_HEADER || bpf_skb_load_bytes(w->skb, s->try_at, h, FRAME_HEADER) || !plausible(h))
		return 1;
	there -= FRAME_HEADER;
	if (frame_length(h) > there)
		return 1;
	s->try_at += FRAME_HEADER + frame_length(h);
	return 0;
}

/* Finds whether frames fill a packet exactly. Of other bytes 24 and more bits would
 * have to be right by chance.
 */
static __always_inline void try_frames(struct walk *w)
{
	w->side->step.try_at = w->side->step.at;
	bpf_loop(FRAMES_MAX, try_frame, w, 0);
}

/* "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", with which a client begins. */
#define PREFACE 24

static __always_inline bool is_preface(const struct walk *w)
{
	__u64 b[PREFACE / 8];

	if (w->side->step.end - w->side->step.at < PREFACE || bpf_skb_load_bytes(w->skb, w->side->step.at, b, PREFACE))
		return false;
	return b[0] == 0x5448202a20495250ULL && b[1] == 0x0a0d302e322f5054ULL && b[2] == 0x0a0d0a0d4d530a0dULL;
}
