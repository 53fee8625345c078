/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which sockets a pass reads when the budget does not pay for all, and how long
 * it reads before it lets others run.
 */
#pragma once

#include "tracked.bpf.h"

/* Objects between two looks at the clock, some 40 us; the fewest that a read
 * visits, some 1 ms; and the most while another task waits for the CPU, some 3 ms,
 * which is about the time slice that the scheduler gives.
 */
#define CLOCK_EVERY 64
#define READ_LEAST 1024
#define READ_WHILE_WANTED 4096

/* Whether another task waits for this CPU. The kernel does not take it away in
 * the middle of a read unless it was built to (CONFIG_PREEMPT).
 */
static __always_inline bool cpu_is_wanted(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (!bpf_core_field_exists(task->se.cfs_rq)) /* no CONFIG_FAIR_GROUP_SCHED */
		return true;
	return BPF_CORE_READ(task, se.cfs_rq, rq, nr_running) > 1;
}

/* Whether the read(2) under way ends here, for Go to go on with the next. A read
 * finds its place by walking the kernel's list from its start, and there are only
 * as many lists as possible CPUs: 25,000 elements take 2 ms. So a pass is cut only
 * where somebody waits, or where it lasts too long.
 */
static __always_inline bool read_ends(const struct control *ctl, __u64 visited)
{
	__u64 read = visited - ctl->read_from;

	if (read % CLOCK_EVERY || read < READ_LEAST)
		return false;
	return (read >= READ_WHILE_WANTED && cpu_is_wanted()) || bpf_ktime_get_ns() >= ctl->stop_ns;
}

/* Whether the budget makes this pass go by what the socket last held (DESIGN.md
 * section 3.3). A listener is never quiet. Nothing of the socket itself is looked
 * at: most of a visit's time goes into waiting for its cache lines.
 */
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
