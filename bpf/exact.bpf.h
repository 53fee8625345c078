/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Exact mode's counters, and the state machine of one connection that request
 * hooks drive (DESIGN.md section 3.2). Alternation decides: on a server socket
 * the first receive after a send opens a request and the first send closes it,
 * on a client socket the other way round. Pipelined requests count once per
 * batch.
 */
#pragma once

#include "tracked.bpf.h"

/* The four counters from which depth, mean depth and mean wait over any
 * interval follow (DESIGN.md section 3.2). All grow modulo 2^64.
 */
struct exact_counters {
	__u64 arrivals;
	__u64 departures;
	__u64 in_ns;
	__u64 out_ns;
};

struct exact_row {
	struct exact_counters outstanding;
	struct exact_counters downstream;
};

/* 1,024 containers x 64 bytes x CPUs: 64 KiB per CPU. Slots are handed out
 * from the lowest, and exact mode is for some containers at a time.
 * Key: slot. Writer: request hooks, tcp_state. Reader: Go.
 */
#define EXACT_MAX 1024
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EXACT_MAX);
	__type(key, __u32);
	__type(value, struct exact_row);
} exact_rows SEC(".maps");

static __always_inline struct exact_counters *counters_of(__u32 slot, __u8 role)
{
	struct exact_row *row = bpf_map_lookup_elem(&exact_rows, &slot);

	if (!row) {
		count_loss(LOSS_EXACT_FULL);
		return NULL;
	}
	return role == ROLE_SERVER ? &row->outstanding : &row->downstream;
}

/* Ends the open request, if there is one of this epoch. */
static __always_inline void close_request(struct exact_state *exact, __u32 slot, __u8 role,
					  __u32 epoch, __u64 now_ns)
{
	struct exact_counters *counters;

	if (exact->open_epoch != epoch)
		return; /* none open, or one from when exact mode was last on */
	exact->open_epoch = 0;
	counters = counters_of(slot, role);
	if (!counters)
		return;
	/* Atomic, though the counters are this CPU's own: a hook may be preempted,
	 * or interrupted by tcp_state in a softirq. */
	__sync_fetch_and_add(&counters->departures, 1);
	__sync_fetch_and_add(&counters->out_ns, now_ns);
}

/* Whether a receive or send is more of the same message. epoch is control.exact,
 * another number each time that exact mode is switched on.
 */
static __always_inline bool continues(const struct exact_state *exact, enum socket_turn turn, __u32 epoch)
{
	return exact->turn == (epoch << 2 | turn);
}

/* Counts a receive or a send of at least one byte that begins a message. */
static __always_inline void count_turn(struct exact_state *exact, __u32 slot, __u8 role,
				       enum socket_turn turn, __u32 epoch, __u64 now_ns)
{
	enum socket_turn opens = role == ROLE_SERVER ? TURN_RECEIVED : TURN_SENT;
	struct exact_counters *counters;

	exact->turn = epoch << 2 | turn;
	if (turn != opens) {
		close_request(exact, slot, role, epoch, now_ns);
		return;
	}
	counters = counters_of(slot, role);
	if (!counters)
		return;
	exact->open_epoch = epoch;
	__sync_fetch_and_add(&counters->arrivals, 1);
	__sync_fetch_and_add(&counters->in_ns, now_ns);
}
