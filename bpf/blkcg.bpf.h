/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From the cgroup that block I/O is charged to, to the container. */
#pragma once

#include "account.bpf.h"

/* Key: kernfs id of a cgroup with the io controller. Value: container.ID, or 0
 * where several containers share that cgroup, as below an ancestor that does
 * not hand the controller down. Writer: run_queue. Reader: block_io_issue.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CONTAINERS_MAX);
	__type(key, __u64);
	__type(value, __u64);
} blkcg_owners SEC(".maps");

/* Set before loading to the index of the io controller; -1 where there is none. */
const volatile int io_hierarchy = -1;

static __always_inline void remember_blkcg(struct task_struct *task, __u64 owner)
{
	__u64 *known, id, shared = 0;
	bool root;

	if (io_hierarchy < 0)
		return;
	id = cgroup_in(BPF_CORE_READ(task, cgroups), io_hierarchy, &root);
	known = bpf_map_lookup_elem(&blkcg_owners, &id);
	if (!known) {
		/* Full: the I/O of later containers that is not issued by their
		 * own threads stays with the cgroup itself. */
		bpf_map_update_elem(&blkcg_owners, &id, &owner, BPF_NOEXIST);
		return;
	}
	if (*known != owner && *known)
		bpf_map_update_elem(&blkcg_owners, &id, &shared, BPF_EXIST);
}
