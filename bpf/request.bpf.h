/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Request hooks whose argument is a socket that the verifier knows. */
#pragma once

#include "exact.bpf.h"
#include "followed.bpf.h"
#include "spans.bpf.h"

/* include/linux/socket.h: receives that take no bytes off the queue, or not its
 * bytes. */
#define MSG_OOB 1
#define MSG_PEEK 2
#define MSG_ERRQUEUE 0x2000

/* The state of a connection to which a receive or a send of at least one byte
 * means something, and so is to be counted; NULL if it does not. It runs in the
 * context of the thread that called, whose container owns the socket, whatever
 * was guessed. chosen is its container_row.exact.
 */
static __always_inline struct socket_state *turned(struct sock *sk, enum socket_turn turn, __u32 *chosen)
{
	struct container_row *row;
	struct socket_state *state;
	struct control *ctl;

	count_run(HOOK_REQUEST);
	ctl = control();
	if (!ctl || !ctl->exact)
		return NULL;
	state = state_of(sk, false);
	if (!state || (state->role != ROLE_SERVER && state->role != ROLE_CLIENT))
		return NULL; /* not tracked */
	if (!state->owner || state->flags & SOCKET_WEAK_OWNER) {
		struct task_struct *task = (void *)bpf_get_current_task();

		if (is_self(task) || state->flags & SOCKET_SELF)
			return NULL;
		state->owner = owner_of(task);
		state->flags &= ~SOCKET_WEAK_OWNER;
	}
	if (counted_as_streams(state))
		return NULL;
	row = row_of(state->owner, &state->slot);
	if (!row)
		return NULL;
	*chosen = row->exact;
	if (!*chosen || says_nothing(&state->exact, turn, state->role, *chosen))
		return NULL;
	return state;
}

/* Counts it, and leaves a span's record where one is wanted. */
static __always_inline void count_transfer(struct sock *sk, struct socket_state *state, enum socket_turn turn,
					   __u32 chosen, __u32 bytes, __u64 now_ns)
{
	enum request_event event;

	event = count_turn(&state->exact, state->slot, state->role, turn, chosen, now_ns);
	note_span(sk, state, event, bytes, now_ns);
}

static __always_inline bool takes_bytes(int ret, int flags)
{
	return ret > 0 && !(flags & (MSG_PEEK | MSG_ERRQUEUE));
}
