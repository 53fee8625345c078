//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The CPU run queue, without a hook in the scheduler. */
#include "account.bpf.h"
#include "compat.bpf.h"

struct task_state {
	__u64 waited_ns;	/* run delay already charged to the container */
	__u64 runs;		/* sched_info.pcount already counted */
	__u64 owner;
	__u32 slot;
	__u32 owner_pass;	/* pass in which owner was last computed */
};

/* Key: thread. Writer and reader: run_queue. Goes with the thread. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} tasks SEC(".maps");

/* Container of a block cgroup: block I/O is charged to a cgroup of the io
 * controller, which may live in another hierarchy than the one that names
 * containers. Key: kernfs id there. Value: container.ID.
 * Writer: run_queue. Reader: block_io.
 */
#include "blkcg.bpf.h"

/* A thread moves to another cgroup rarely: its owner is computed every so many
 * passes, and a move shows after two seconds at ten passes a second.
 */
#define OWNER_EVERY 20

#define PF_KTHREAD 0x00200000

/* The scheduler's clock now, which no helper gives: the time at which the
 * sampling thread came onto its CPU for this pass, by that clock, and the time
 * since, by the monotonic one. Late by what the thread needed to get here, some
 * microseconds; the two clocks drift apart, but not within a pass.
 */
static __always_inline __u64 sched_clock(const struct control *ctl)
{
	struct task_struct *sampler = (void *)bpf_get_current_task();

	return BPF_CORE_READ(sampler, sched_info.last_arrival) + bpf_ktime_get_ns() -
	       ctl->pass_ns[FAMILY_TASK];
}

/* Run queue: threads runnable and waiting for a CPU.
 *
 * Depth: tasks with on_rq and not on_cpu, threads (include/linux/sched.h). A
 *        throttled cgroup's threads wait too.
 * Wait:  growth of sched_info.run_delay, with the wait still going on of those
 *        queued now (last_queued), nanoseconds (kernel/sched/stats.h):
 *        divided by the time between passes it is the exact mean depth.
 * Owner: the waiting thread's own cgroup.
 * Hook:  task iterator: no scheduler hook, no cost per switch.
 * Loss:  LOSS_TASK_STORAGE; a thread that lives and dies between two passes is
 *        not seen.
 * Since: Linux 5.11, CONFIG_SCHED_INFO.
 */
SEC("iter/task")
int run_queue(struct bpf_iter__task *ctx)
{
	struct family_stats *stats = family(FAMILY_TASK);
	struct control *ctl = control();
	struct task_struct *task = ctx->task;
	struct container_row *row;
	struct queue_cell *cell;
	struct task_state *state;
	__u64 waited, runs, queued;
	bool waiting;
	__u64 pass;

	if (!task || !ctl || !stats)
		return 0;
	stats->visited++;
	if (task->tgid == self_tgid || task->flags & PF_KTHREAD || task->exit_state)
		return 0;
	pass = ctl->pass[FAMILY_TASK];
	waited = task->sched_info.run_delay;
	runs = task->sched_info.pcount;
	queued = task->sched_info.last_queued;
	waiting = queued && task_is_queued(task) && !task_is_on_cpu(task) && task_is_runnable(task);
	if (waiting) {
		__u64 clock = sched_clock(ctl);

		if (clock > queued)
			waited += clock - queued;
	}
	state = bpf_task_storage_get(&tasks, task, 0, 0);
	if (!state) {
		state = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (!state) {
			count_loss(LOSS_TASK_STORAGE);
			return 0;
		}
		/* What it waited before Seer knew it is not this tick's, unless
		 * it was born since the last pass. */
		if (task->start_time < ctl->previous_ns[FAMILY_TASK]) {
			state->waited_ns = waited;
			state->runs = runs;
		}
	}
	if (!state->owner || pass - state->owner_pass >= OWNER_EVERY) {
		__u64 owner = owner_of(task);

		state->owner_pass = pass;
		state->owner = owner;
		remember_blkcg(task, owner);
	}
	row = row_of(state->owner, &state->slot);
	if (!row)
		return 0;
	stats->measured++;
	name_row(row, task);
	cell = &row->cells[QUEUE_RUN];
	add_depth(cell, pass, waiting, 0);
	if (waited > state->waited_ns) {
		__sync_fetch_and_add(&cell->wait_ns, waited - state->waited_ns);
		state->waited_ns = waited;
	}
	if (runs > state->runs) {
		__sync_fetch_and_add(&cell->departures, runs - state->runs);
		state->runs = runs;
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
