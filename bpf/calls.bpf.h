/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What connections leave behind for the graph of who calls whom: the list of
 * sockets shows only those that are open when it is taken.
 */
#pragma once

#include "tracked.bpf.h"

/* Where somebody has been reached, and who that was: of a connection the server's
 * end, as its client sees it. v4 addresses are v4-mapped. Loopback addresses are each
 * namespace's own, others are taken for the host's: netns is 0.
 *
 * 16,384 addresses; the least used goes first, and is there again with its next
 * connection. Key: address. Writer: tcp_state. Reader: tcp_state, Go.
 */
#define SERVED_MAX 16384
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SERVED_MAX);
	__type(key, struct listener_key);
	__type(value, __u64); /* container.ID */
} served_at SEC(".maps");

/* Connections of one container with one address that have closed. A client's
 * have the server's address and port; a server's only the client's address, and its
 * own port.
 */
struct call_key {
	struct listener_key peer;
	__u64 owner;
	__u32 role; /* enum socket_role */
	__u32 pad;
};

struct call_counts {
	__u64 closed;
	__u64 failed;	  /* a client's attempts that nobody accepted */
	__u64 unanswered; /* closed while the answer was owed for a pass or longer */
	__u64 requests;	  /* answered */
	__u64 waited_ns;  /* time in which an answer was owed */
};

/* 16,384 pairs until Go takes them away, once a second: more different peers in a
 * second are lost, LOSS_CALLS_FULL. Key: pair. Writer: tcp_state. Reader: Go, deletes.
 */
#define CALLS_MAX 16384
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CALLS_MAX);
	__type(key, struct call_key);
	__type(value, struct call_counts);
} calls SEC(".maps");

static __always_inline bool is_loopback(const struct listener_key *place)
{
	if (!place->address[0] && !place->address[1] && place->address[2] == V4_MAPPED_PREFIX)
		return (place->address[3] & 0xff) == 127;
	return !place->address[0] && !place->address[1] && !place->address[2] &&
	       place->address[3] == __builtin_bswap32(1);
}

static __always_inline void forget_namespace(struct listener_key *place)
{
	if (!is_loopback(place))
		place->netns = 0;
}

/* A connection was accepted at its local address. */
static __always_inline void note_served(const struct sock *sk, __u64 owner)
{
	struct listener_key key;
	__u64 *known;

	local_address(sk, &key);
	forget_namespace(&key);
	known = bpf_map_lookup_elem(&served_at, &key);
	if (!known || *known != owner)
		bpf_map_update_elem(&served_at, &key, &owner, BPF_ANY);
}

/* A connection, or the attempt at one, is over. */
static __always_inline void note_call(const struct sock *sk, const struct socket_state *state, bool failed)
{
	const struct tcp_sock *tp = (const void *)sk;
	struct call_counts fresh = {}, *counts;
	struct call_key key = {};

	remote_address(sk, &key.peer);
	if (state->role == ROLE_SERVER) {
		if (is_loopback(&key.peer))
			return; /* its client is on this host, and tells */
		key.peer.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	}
	forget_namespace(&key.peer);
	key.owner = state->owner;
	key.role = state->role;
	counts = bpf_map_lookup_elem(&calls, &key);
	if (!counts) {
		/* Where another CPU makes it at the same time, that one stays. */
		bpf_map_update_elem(&calls, &key, &fresh, BPF_NOEXIST);
		counts = bpf_map_lookup_elem(&calls, &key);
		if (!counts) {
			count_loss(LOSS_CALLS_FULL);
			return;
		}
	}
	if (failed) {
		__sync_fetch_and_add(&counts->failed, 1);
		return;
	}
	__sync_fetch_and_add(&counts->closed, 1);
	__sync_fetch_and_add(&counts->requests, state->requests);
	__sync_fetch_and_add(&counts->waited_ns, state->waited_ns);
	/* Nothing has come since a visit found that the answer was owed. */
	if (state->flags & SOCKET_HUNG_UP_ON ||
	    (waits(state) && BPF_CORE_READ(tp, data_segs_in) == state->segs_in))
		__sync_fetch_and_add(&counts->unanswered, 1);
}
