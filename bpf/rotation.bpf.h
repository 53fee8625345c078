/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which sockets a pass reads when the budget does not pay for all. */
#pragma once

#include "socket.bpf.h"

/* Whether the budget lets this pass read the socket (DESIGN.md section 3.3). */
static __always_inline bool skips(const struct control *ctl, struct socket_state *state, __u64 pass)
{
	if (ctl->quiet_every <= 1 || state->quiet <= ctl->quiet_every)
		return false;
	if (!state->phase) {
		/* Every bit counts: with a bit that is always set, half of the
		 * passes would read twice their share and the others none. */
		state->phase = bpf_get_prandom_u32();
		if (!state->phase)
			state->phase = 1;
	}
	return (state->phase + (__u32)pass) % ctl->quiet_every;
}
