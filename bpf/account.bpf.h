/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whose is it, and where is it written: maps and bookkeeping that every
 * program shares. Go creates these maps once and hands them to each object.
 */
#pragma once

#include "headers/kernel.h"
#include "headers/bpf/bpf_helpers.h"
#include "headers/bpf/bpf_core_read.h"
#include "headers/bpf/bpf_tracing.h"
#include "queues.bpf.h"

/* 4,096 containers x 1,024 bytes = 4 MiB, touched only as far as used. A
 * Kubernetes node holds at most 250 pods by default; systemd hosts some
 * hundreds of units.
 */
#define CONTAINERS_MAX 4096

/* Key: slot. Value: what is measured about the container in it.
 * Writer: all programs. Reader: Go, through mmap, without a system call.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CONTAINERS_MAX);
	__type(key, __u32);
	__type(value, struct container_row);
} container_rows SEC(".maps");

/* Key: container.ID. Value: slot. Writer: slot_of(); Go deletes. Reader: slot_of(). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CONTAINERS_MAX);
	__type(key, __u64);
	__type(value, __u32);
} container_slots SEC(".maps");

/* Slots given back. The last one given back is used first, then the lowest that
 * was never used, so the rows in use stay close together. Writer: Go, slot_of().
 * Reader: slot_of().
 */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, CONTAINERS_MAX);
	__uint(key_size, 0);
	__type(value, __u32);
} free_slots SEC(".maps");

/* Key: reason. Value: facts dropped, per CPU. Writer: count_loss(). Reader: Go. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_REASON_MAX);
	__type(key, enum loss_reason);
	__type(value, __u64);
} losses SEC(".maps");

/* Key: hook. Value: runs, per CPU: the kernel's own count needs CAP_SYS_ADMIN to
 * switch on, and slows every program of the host. Writer: count_run(). Reader: Go.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HOOK_MAX);
	__type(key, enum hook_id);
	__type(value, __u64);
} hook_runs SEC(".maps");

/* One row. Writer: Go, through mmap. Reader: all programs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} controls SEC(".maps");

/* Key: family. Writer: the family's iterator. Reader: Go, through mmap. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FAMILY_MAX);
	__type(key, enum family_id);
	__type(value, struct family_stats);
} families SEC(".maps");

/* Values of control.primary_hierarchy that are not an index. */
#define HIERARCHY_V2 (-1)
#define HIERARCHY_NONE (-2)

/* Set before loading: --group-by comm. */
const volatile bool group_by_comm = false;

/* Seer's own process, which is never measured. */
const volatile int self_tgid = 0;

#define OWNER_LEGACY (1ULL << 63) /* container.Legacy */
#define OWNER_COMM (1ULL << 62)	  /* container.ByComm */

static __always_inline void count_loss(enum loss_reason reason)
{
	__u64 *count = bpf_map_lookup_elem(&losses, &reason);

	if (count)
		(*count)++;
}

static __always_inline void count_run(enum hook_id hook)
{
	__u64 *count = bpf_map_lookup_elem(&hook_runs, &hook);

	if (count)
		(*count)++;
}

static __always_inline struct control *control(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&controls, &zero);
}

static __always_inline struct family_stats *family(enum family_id id)
{
	return bpf_map_lookup_elem(&families, &id);
}

static __always_inline bool is_self(const struct task_struct *task)
{
	return BPF_CORE_READ(task, tgid) == self_tgid;
}

/* FNV-1a over the program name, for --group-by comm. */
static __always_inline __u64 hash_comm(const char comm[16])
{
	__u64 hash = 14695981039346656037ULL;

	for (int i = 0; i < 16; i++) {
		if (!comm[i])
			break;
		hash = (hash ^ (__u8)comm[i]) * 1099511628211ULL;
	}
	return (hash & ~(OWNER_LEGACY | OWNER_COMM)) | OWNER_COMM;
}

/* The kernfs id of a task's cgroup in one hierarchy, and whether that cgroup
 * is the hierarchy's root, which distinguishes nothing.
 */
static __always_inline __u64 cgroup_in(struct css_set *cset, int hierarchy, bool *root)
{
	struct cgroup_subsys_state *css = NULL;
	struct cgroup *cgrp;

	*root = true;
	if (hierarchy == HIERARCHY_NONE)
		return 0;
	if (hierarchy == HIERARCHY_V2) {
		cgrp = BPF_CORE_READ(cset, dfl_cgrp);
	} else {
		bpf_probe_read_kernel(&css, sizeof(css),
				      (void *)cset + bpf_core_field_offset(struct css_set, subsys) +
					      (hierarchy & 31) * sizeof(void *));
		cgrp = BPF_CORE_READ(css, cgroup);
	}
	*root = BPF_CORE_READ(cgrp, level) == 0;
	return BPF_CORE_READ(cgrp, kn, id);
}

static __always_inline __u64 mark(__u64 id, int hierarchy)
{
	return hierarchy >= 0 ? id | OWNER_LEGACY : id;
}

/* The container.ID of a task: its cgroup in the primary hierarchy, or, when
 * that is the root, in the secondary; the same rule as container.IDOf in Go.
 * The task is always the one that owns the object, never the interrupted one.
 */
static __always_inline __u64 owner_of(struct task_struct *task)
{
	struct control *ctl = control();
	struct css_set *cset;
	__u64 id, other;
	bool root;

	if (!ctl)
		return 0;
	if (group_by_comm) {
		struct task_struct *leader = BPF_CORE_READ(task, group_leader);
		char comm[16] = {};

		bpf_probe_read_kernel(comm, sizeof(comm), &leader->comm);
		return hash_comm(comm);
	}
	cset = BPF_CORE_READ(task, cgroups);
	id = cgroup_in(cset, ctl->primary_hierarchy, &root);
	if (!root)
		return mark(id, ctl->primary_hierarchy);
	other = cgroup_in(cset, ctl->secondary_hierarchy, &root);
	if (!root)
		return mark(other, ctl->secondary_hierarchy);
	return mark(id, ctl->primary_hierarchy);
}

/* The row in a slot, if it still belongs to owner. */
static __always_inline struct container_row *row_at(__u32 slot, __u64 owner)
{
	struct container_row *row = bpf_map_lookup_elem(&container_rows, &slot);

	return row && row->owner == owner ? row : NULL;
}

/* The slot of a container, taking a free one for a new container. Go returns a
 * slot to free_slots when the cgroup is gone, having first deleted the key and
 * zeroed the row, so a stale slot number is recognised by its owner.
 */
static __noinline int slot_of(__u64 owner)
{
	__u32 *found, slot = 0;
	struct container_row *row;

	found = bpf_map_lookup_elem(&container_slots, &owner);
	if (found)
		return *found;
	if (bpf_map_pop_elem(&free_slots, &slot)) {
		struct family_stats *stats = family(FAMILY_SOCKET);

		if (!stats)
			return -1;
		if (stats->high < CONTAINERS_MAX)
			slot = __sync_fetch_and_add(&stats->high, 1);
		else
			slot = CONTAINERS_MAX;
		if (slot >= CONTAINERS_MAX) {
			count_loss(LOSS_CONTAINERS_FULL);
			return -1;
		}
	}
	if (bpf_map_update_elem(&container_slots, &owner, &slot, BPF_NOEXIST)) {
		/* Another CPU was first. */
		bpf_map_push_elem(&free_slots, &slot, BPF_ANY);
		found = bpf_map_lookup_elem(&container_slots, &owner);
		return found ? *found : -1;
	}
	row = bpf_map_lookup_elem(&container_rows, &slot);
	if (row)
		row->owner = owner;
	return slot;
}

/* The row of a container, with its slot cached by the caller. */
static __always_inline struct container_row *row_of(__u64 owner, __u32 *slot)
{
	struct container_row *row = row_at(*slot, owner);
	int found;

	if (row)
		return row;
	found = slot_of(owner);
	if (found < 0)
		return NULL;
	*slot = found;
	return row_at(*slot, owner);
}

static __always_inline void name_row(struct container_row *row, struct task_struct *task)
{
	if (group_by_comm && !row->comm[0]) {
		struct task_struct *leader = BPF_CORE_READ(task, group_leader);

		bpf_probe_read_kernel(row->comm, sizeof(row->comm), &leader->comm);
	}
}

/* Adds the depth of one object, seen in a pass, to its container's queue. */
static __always_inline void add_depth(struct queue_cell *cell, __u64 pass, __u64 depth, __u64 limit)
{
	if (cell->pass != pass) {
		cell->sum += cell->depth;
		if (cell->depth > cell->max)
			cell->max = cell->depth;
		cell->depth = 0;
		cell->limit = 0;
		cell->pass = pass;
	}
	cell->depth += depth;
	cell->limit += limit;
}

/* Counts n objects that entered, or left, a queue at time now_ns. */
static __always_inline void arrive(struct queue_cell *cell, __u64 n, __u64 now_ns)
{
	__sync_fetch_and_add(&cell->arrivals, n);
	__sync_fetch_and_add(&cell->in_ns, n * now_ns);
}

static __always_inline void depart(struct queue_cell *cell, __u64 n, __u64 now_ns)
{
	__sync_fetch_and_add(&cell->departures, n);
	__sync_fetch_and_add(&cell->out_ns, n * now_ns);
}
