/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Request hooks whose argument is a socket that the verifier knows. */
#pragma once

#include "exact.bpf.h"

#define MSG_PEEK 2 /* include/linux/socket.h */

/* A receive or a send of at least one byte, in the context of the thread that
 * called it. That thread's container owns the socket, whatever was guessed.
 */
static __always_inline void on_transfer(struct sock *sk, enum socket_turn turn)
{
	struct socket_state *state;
	struct control *ctl;

	count_run(HOOK_REQUEST);
	ctl = control();
	if (!ctl || !ctl->exact)
		return;
	state = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!state || (state->role != ROLE_SERVER && state->role != ROLE_CLIENT))
		return; /* not tracked */
	if (state->exact.turn == (ctl->exact << 2 | turn))
		return; /* more of the same message */
	if (!state->owner || state->flags & SOCKET_WEAK_OWNER) {
		struct task_struct *task = (void *)bpf_get_current_task();

		if (is_self(task) || state->flags & SOCKET_SELF)
			return;
		state->owner = owner_of(task);
		state->flags &= ~SOCKET_WEAK_OWNER;
	}
	if (!row_of(state->owner, &state->slot))
		return;
	count_transfer(&state->exact, state->slot, state->role, turn, ctl->exact);
}
