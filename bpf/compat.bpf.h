/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Every difference between kernels that the programs meet, with the commit
 * that made it. Programs test fields, never versions: distributions backport.
 */
#pragma once

#include "headers/kernel.h"
#include "headers/bpf/bpf_helpers.h"
#include "headers/bpf/bpf_core_read.h"

/* task_struct.state became __state in 5.14 (2f064a59a11f, "sched: Change
 * task_struct::state").
 */
struct task_struct___state {
	volatile long state;
} __attribute__((preserve_access_index));

struct task_struct___dunder_state {
	unsigned int __state;
} __attribute__((preserve_access_index));

static __always_inline bool task_is_runnable(struct task_struct *task)
{
	struct task_struct___dunder_state *now = (void *)task;
	struct task_struct___state *before = (void *)task;

	if (bpf_core_field_exists(now->__state))
		return BPF_CORE_READ(now, __state) == 0;
	return BPF_CORE_READ(before, state) == 0;
}

/* task_struct.on_rq and on_cpu were ints and are bytes in 7.3: a load of the
 * wrong width reads the neighbours.
 */
struct task_struct___bytes {
	__u8 on_rq;
	__u8 on_cpu;
} __attribute__((preserve_access_index));

static __always_inline bool task_is_queued(struct task_struct *task)
{
	struct task_struct___bytes *bytes = (void *)task;

	if (bpf_core_field_size(task->on_rq) == 1)
		return BPF_CORE_READ(bytes, on_rq) == 1; /* TASK_ON_RQ_QUEUED */
	return BPF_CORE_READ(task, on_rq) == 1;
}

static __always_inline bool task_is_on_cpu(struct task_struct *task)
{
	struct task_struct___bytes *bytes = (void *)task;

	if (bpf_core_field_size(task->on_cpu) == 1)
		return BPF_CORE_READ(bytes, on_cpu);
	return BPF_CORE_READ(task, on_cpu);
}

/* unix_sock.inq_len counts the unread bytes of a stream socket since 6.18
 * (f4e1fb04c123, "af_unix: Use cached value for SOCK_STREAM in unix_inq_len()").
 */
struct unix_sock___inq_len {
	int inq_len;
} __attribute__((preserve_access_index));
