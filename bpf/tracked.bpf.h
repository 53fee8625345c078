/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where the state of a socket is: in the socket's own storage, whose list a pass
 * walks, or, where that list must not be walked (Linux 7.0 and later) or is refused
 * by a policy, in a table of Seer's own. The storage then holds only the index.
 */
#pragma once

#include "socket.bpf.h"

/* Set before loading: states are in the table. */
const volatile bool in_table = false;

struct tracked_socket {
	__u64 sk;	/* address of the struct sock; 0: closed, or nobody */
	__u64 cookie;	/* of that socket: its memory may be another's by now */
	__u32 taken;	/* set here, cleared by Go when it gives the index back */
	__u32 stale;	/* a pass has found the socket gone */
	struct socket_state state;
};

/* 131,072 sockets x 128 bytes = 16 MiB, touched as far as used; Go makes it one
 * where the table is not used. Key: index. Writer: tcp_state, discover, passes,
 * request hooks; Go frees, through mmap. Reader: the same.
 */
#define TRACKED_MAX 131072
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TRACKED_MAX);
	__type(key, __u32);
	__type(value, struct tracked_socket);
} tracked SEC(".maps");

/* Indices given back, first in, first out. Go gives one back a while after its
 * socket has closed, so that a pass that is at it writes to nobody else's.
 * Key: number of the gift, modulo their most. Value: index.
 * Writer: Go, through mmap. Reader: take_index().
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TRACKED_MAX);
	__type(key, __u32);
	__type(value, __u64);
} free_tracked SEC(".maps");

/* How many were given back, and how many of these were taken again. */
struct index_counts {
	__u64 given;	/* writer: Go */
	__u64 retaken;	/* writer: take_index() */
	__u64 high;	/* every index in use is below */
};

/* One row. Writer: Go, take_index(). Reader: the same, and passes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct index_counts);
} tracked_counts SEC(".maps");

#define TAKE_TRIES 4 /* against as many CPUs at once */

/* A free index of the table, or -1. */
static __always_inline int take_index(void)
{
	__u32 zero = 0;
	struct index_counts *counts = bpf_map_lookup_elem(&tracked_counts, &zero);
	__u64 index;

	if (!counts)
		return -1;
	for (int i = 0; i < TAKE_TRIES; i++) {
		__u64 retaken = *(volatile __u64 *)&counts->retaken, *given;
		__u32 at = retaken % TRACKED_MAX;

		if (retaken >= *(volatile __u64 *)&counts->given)
			break;
		given = bpf_map_lookup_elem(&free_tracked, &at);
		if (!given)
			return -1;
		index = *given;
		if (__sync_val_compare_and_swap(&counts->retaken, retaken, retaken + 1) == retaken)
			return index;
	}
	if (*(volatile __u64 *)&counts->high >= TRACKED_MAX)
		return -1;
	index = __sync_fetch_and_add(&counts->high, 1);
	if (index < TRACKED_MAX)
		return index;
	__sync_fetch_and_add(&counts->high, -1);
	return -1;
}

static __always_inline struct tracked_socket *tracked_at(__u32 index)
{
	return bpf_map_lookup_elem(&tracked, &index);
}

/* The state in the table of a socket whose storage this is. */
static __always_inline struct socket_state *tracked_state(const struct sock *sk, struct socket_state *stored,
							  bool create)
{
	__u32 known = *(volatile __u32 *)&stored->index;
	struct tracked_socket *entry;
	int index;

	if (known) {
		entry = tracked_at(known - 1);
		if (entry && entry->sk == (__u64)sk)
			return &entry->state;
	}
	if (!create)
		return NULL;
	index = take_index();
	entry = index < 0 ? NULL : tracked_at(index);
	if (!entry) {
		count_loss(LOSS_SOCKETS_FULL);
		return NULL;
	}
	__builtin_memset(&entry->state, 0, sizeof(entry->state));
	entry->cookie = bpf_get_socket_cookie((void *)sk);
	entry->stale = 0;
	entry->sk = (__u64)sk;
	entry->taken = 1;
	if (__sync_val_compare_and_swap(&stored->index, known, index + 1) != known) {
		entry->sk = 0; /* another CPU was first: Go gives it back */
		known = *(volatile __u32 *)&stored->index;
		entry = tracked_at(known - 1);
		return entry && entry->sk == (__u64)sk ? &entry->state : NULL;
	}
	return &entry->state;
}

/* What Seer remembers about a socket, made when it is new and create is set. */
static __always_inline struct socket_state *state_of(const struct sock *sk, bool create)
{
	struct socket_state *stored;

	stored = bpf_sk_storage_get(&sockets, (void *)sk, 0, create ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	/* Where another CPU has made it at the same time, making it fails. */
	if (!stored && create)
		stored = bpf_sk_storage_get(&sockets, (void *)sk, 0, 0);
	if (!stored) {
		if (create)
			count_loss(LOSS_SOCKET_STORAGE);
		return NULL;
	}
	return in_table ? tracked_state(sk, stored, create) : stored;
}

/* Takes a socket that has closed off the table; its storage goes with it. */
static __always_inline void forget(const struct sock *sk)
{
	struct socket_state *stored;
	struct tracked_socket *entry;

	if (!in_table)
		return;
	stored = bpf_sk_storage_get(&sockets, (void *)sk, 0, 0);
	if (!stored || !stored->index)
		return;
	entry = tracked_at(stored->index - 1);
	if (entry && entry->sk == (__u64)sk)
		entry->sk = 0;
}
