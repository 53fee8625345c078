/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Spans: who served and who sent which request, in windows of time that Go opens now
 * and then (DESIGN.md section 4). All requests of the chosen containers that are open
 * at any time in the window leave records, and not one in so many: only then is it
 * known inside a service which requests a call may have been made for.
 *
 * Both ends of a connection know the first byte of a request by the same sequence
 * number, which address translation leaves alone; so it does, mostly, the client's port.
 */
#pragma once

#include "exact.bpf.h"

/* One event of a request, which is known by its socket and the time it was opened. */
struct span_record {
	__u64 owner;	 /* container.ID */
	__u64 sock;	 /* address of the struct sock */
	__u64 opened_ns; /* CLOCK_MONOTONIC, as all times */
	__u64 at_ns;	 /* of the event */
	struct listener_key local;
	struct listener_key remote;
	__u32 seq;	/* of the request's first byte; only of one that opens */
	__u32 thread;	/* which received or sent */
	__u32 role;	/* enum socket_role */
	__u32 event;	/* enum request_event */
};

/* 2 MiB are some 20,000 records, 10,000 requests between two visits of Go, which come
 * every 50 ms while a window is open; Go makes it one page where no spans are wanted.
 * A full one loses records, LOSS_SPANS_FULL. Writer: request hooks. Reader: Go.
 */
#define SPANS_BYTES (2 << 20)
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SPANS_BYTES);
} spans SEC(".maps");

/* Records an event of bytes bytes, if its request was open within the window. */
static __always_inline void note_span(const struct sock *sk, const struct socket_state *state,
				      enum request_event event, __u32 bytes, __u64 now_ns)
{
	struct control *ctl = control();
	const struct tcp_sock *tp = (const void *)sk;
	struct span_record *record;

	if (!ctl || state->exact.opened_ns >= ctl->spans_until_ns)
		return;
	if (event == REQUEST_NOTHING || now_ns < ctl->spans_from_ns)
		return;
	record = bpf_ringbuf_reserve(&spans, sizeof(*record), 0);
	if (!record) {
		count_loss(LOSS_SPANS_FULL);
		return;
	}
	record->owner = state->owner;
	record->sock = (__u64)sk;
	record->opened_ns = state->exact.opened_ns;
	record->at_ns = now_ns;
	local_address(sk, &record->local);
	remote_address(sk, &record->remote);
	record->seq = 0;
	if (event == REQUEST_OPENED)
		record->seq = (state->role == ROLE_SERVER ? BPF_CORE_READ(tp, copied_seq) :
							    BPF_CORE_READ(tp, write_seq)) - bytes;
	record->thread = bpf_get_current_pid_tgid();
	record->role = state->role;
	record->event = event;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP); /* Go comes by itself */
}
