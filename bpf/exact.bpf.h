/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Exact mode's counters, and the state machine of one connection that request
 * hooks drive (DESIGN.md section 3.2). Alternation decides: on a server socket
 * the first receive after a send opens a request and the first send closes it,
 * on a client socket the other way round. Pipelined requests count once per
 * batch.
 *
 * Whose requests are counted Go says, in container_row.exact: 0, or an epoch, which
 * is another number each time that a container is chosen, above the latency row
 * that it was given.
 */
#pragma once

#include "latency.bpf.h"
#include "tracked.bpf.h"

#define EXACT_LATENCY_BITS 12 /* of container_row.exact: a latency row from 1; 0: none */

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
	/* Of the departures, those whose connection closed with no answer. */
	__u64 unanswered_outstanding;
	__u64 unanswered_downstream;
};

/* 1,024 containers x 80 bytes x CPUs: 80 KiB per CPU. Slots are handed out
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

/* How long requests took, from their first byte to the first and to the last of the
 * answer. A server's are outstanding, a client's downstream.
 */
struct latency_counts {
	__u32 first[LATENCY_BUCKETS];
	__u32 last[LATENCY_BUCKETS];
};

struct latency_row {
	struct latency_counts outstanding;
	struct latency_counts downstream;
	__u32 ages[LATENCY_BUCKETS]; /* of outstanding requests, added up over passes that ask */
};

/* 256 containers x 16,680 bytes = 4.1 MiB: entry services and who is looked into,
 * not all. One row for all CPUs, which is read without a system call: a fleet of CPUs
 * adds to the same few buckets, but none waits for another.
 * Key: what container_row.exact says, less one. Writer: request hooks, passes. Reader: Go,
 * through mmap, which takes differences and never clears.
 */
#define LATENCY_ROWS 256
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LATENCY_ROWS);
	__type(key, __u32);
	__type(value, struct latency_row);
} latency_rows SEC(".maps");

static __always_inline struct exact_row *exact_row_of(__u32 slot)
{
	struct exact_row *row = bpf_map_lookup_elem(&exact_rows, &slot);

	if (!row)
		count_loss(LOSS_EXACT_FULL);
	return row;
}

static __always_inline struct latency_counts *latencies_of(__u32 chosen, __u8 role)
{
	__u32 key = (chosen & ((1 << EXACT_LATENCY_BITS) - 1)) - 1;
	struct latency_row *row = bpf_map_lookup_elem(&latency_rows, &key);

	if (!row)
		return NULL; /* counted, but not timed */
	return role == ROLE_SERVER ? &row->outstanding : &row->downstream;
}

static __always_inline void add_bucket(__u32 counts[LATENCY_BUCKETS], __u32 bucket, __u32 n)
{
	/* Or the compiler compares one register and adds another, and older
	 * verifiers lose the bound in between. */
	barrier_var(bucket);
	if (bucket < LATENCY_BUCKETS)
		__sync_fetch_and_add(&counts[bucket], n);
}

/* The answer to the open request has begun, or goes on. Its latency to the last
 * byte is what it is so far: a later part moves it to another bucket.
 */
static __always_inline void time_answer(struct exact_state *exact, __u32 chosen, __u8 role, bool begins,
					__u64 now_ns)
{
	struct latency_counts *counts;
	__u32 bucket;

	if (!begins && exact->timed_by != chosen)
		return; /* not timed, or by a choice that is over */
	counts = latencies_of(chosen, role);
	if (!counts)
		return;
	bucket = latency_bucket(now_ns > exact->opened_ns ? now_ns - exact->opened_ns : 0);
	if (begins) {
		add_bucket(counts->first, bucket, 1);
	} else {
		if (bucket == exact->bucket)
			return;
		add_bucket(counts->last, exact->bucket, -1);
	}
	add_bucket(counts->last, bucket, 1);
	exact->bucket = bucket;
	exact->timed_by = chosen;
}

/* In the last pass of a tick: how old a server's open request is. */
static __always_inline void count_age(const struct control *ctl, const struct container_row *row,
				      const struct socket_state *state)
{
	__u32 key = (row->exact & ((1 << EXACT_LATENCY_BITS) - 1)) - 1;
	__u64 now_ns = ctl->pass_ns[FAMILY_SOCKET];
	struct latency_row *latencies;

	if (!row->exact || state->exact.opened_by != row->exact || state->role != ROLE_SERVER)
		return;
	latencies = bpf_map_lookup_elem(&latency_rows, &key);
	if (latencies)
		add_bucket(latencies->ages,
			   latency_bucket(now_ns > state->exact.opened_ns ? now_ns - state->exact.opened_ns : 0), 1);
}

/* Takes the open request out of its queue, if there is one of this choice. */
static __always_inline bool depart_request(struct exact_state *exact, __u32 slot, __u8 role, __u32 chosen,
					   bool answered, __u64 now_ns)
{
	struct exact_counters *counters;
	struct exact_row *row;

	if (!chosen || exact->opened_by != chosen)
		return false; /* none open, or one from when it was last chosen */
	exact->opened_by = 0;
	row = exact_row_of(slot);
	if (!row)
		return false;
	counters = role == ROLE_SERVER ? &row->outstanding : &row->downstream;
	/* Atomic, though the counters are this CPU's own: a hook may be preempted,
	 * or interrupted by tcp_state in a softirq. */
	__sync_fetch_and_add(&counters->departures, 1);
	__sync_fetch_and_add(&counters->out_ns, now_ns);
	if (!answered)
		__sync_fetch_and_add(role == ROLE_SERVER ? &row->unanswered_outstanding :
							   &row->unanswered_downstream, 1);
	return true;
}

/* The connection closes: nobody will answer any more. */
static __always_inline void abandon_request(struct exact_state *exact, __u32 slot, __u8 role, __u32 chosen,
					    __u64 now_ns)
{
	depart_request(exact, slot, role, chosen, false, now_ns);
}

static __always_inline bool opens(enum socket_turn turn, __u8 role)
{
	return turn == (role == ROLE_SERVER ? TURN_RECEIVED : TURN_SENT);
}

/* Whether a receive or send says nothing new: more of a request, or of an answer
 * that is not timed. chosen is container_row.exact.
 */
static __always_inline bool says_nothing(const struct exact_state *exact, enum socket_turn turn, __u8 role,
					 __u32 chosen)
{
	return exact->said_to == chosen && exact->turn == turn &&
	       (opens(turn, role) || exact->timed_by != chosen);
}

/* What a receive or a send was to its request. */
enum request_event {
	REQUEST_NOTHING,
	REQUEST_OPENED,
	REQUEST_ANSWERED,	/* the first byte of the answer */
	REQUEST_ANSWERED_MORE,	/* a later one, so much later that it is another bucket */
};

/* Counts a receive or a send of at least one byte. */
static __always_inline enum request_event count_turn(struct exact_state *exact, __u32 slot, __u8 role,
				       enum socket_turn turn, __u32 chosen, __u64 now_ns)
{
	bool more = exact->said_to == chosen && exact->turn == turn;
	struct exact_counters *counters;
	struct exact_row *row;

	if (more) {
		__u16 bucket = exact->bucket;

		if (!opens(turn, role))
			time_answer(exact, chosen, role, false, now_ns);
		return exact->bucket == bucket ? REQUEST_NOTHING : REQUEST_ANSWERED_MORE;
	}
	exact->said_to = chosen;
	exact->turn = turn;
	exact->timed_by = 0;
	if (!opens(turn, role)) {
		if (!depart_request(exact, slot, role, chosen, true, now_ns))
			return REQUEST_NOTHING;
		time_answer(exact, chosen, role, true, now_ns);
		return REQUEST_ANSWERED;
	}
	row = exact_row_of(slot);
	if (!row)
		return REQUEST_NOTHING;
	counters = role == ROLE_SERVER ? &row->outstanding : &row->downstream;
	exact->opened_by = chosen;
	exact->opened_ns = now_ns;
	__sync_fetch_and_add(&counters->arrivals, 1);
	__sync_fetch_and_add(&counters->in_ns, now_ns);
	return REQUEST_OPENED;
}
