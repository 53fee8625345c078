/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which containers' HTTP/2 streams are counted. */
#pragma once

#include "tracked.bpf.h"

/* 64 containers at once: their packets run a program each. */
#define FOLLOWED_MAX 64

struct followed {
	__u32 row;	/* index in stream_rows */
	__u32 choice;	/* another number each time: a connection known under an earlier one begins anew */
	__u32 samples;	/* beginnings of requests per second to hand to Go for their names; 0: none */
	__u32 pad;
};

/* Key: container.ID. Writer: Go. Reader: stream programs; passes and request hooks,
 * which leave these containers' HTTP/2 connections to them.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FOLLOWED_MAX);
	__type(key, __u64);
	__type(value, struct followed);
} followed_containers SEC(".maps");

/* Whether the requests of a connection are counted stream by stream, and so neither
 * by the passive verdict nor by the request hooks.
 */
static __always_inline bool counted_as_streams(const struct socket_state *state)
{
	__u64 owner = state->owner; /* on the stack: a state in an iterator's hands is no key before 6.2 */

	return state->streams && bpf_map_lookup_elem(&followed_containers, &owner);
}
