//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Programs that let Go call the helpers of account.bpf.h. */
#include "account.bpf.h"

/* Set by Go before a run, read by Go after it. */
struct depth_args {
	struct queue_cell cell;
	__u64 pass;
	__u64 depth;
	__u64 limit;
};

struct flow_args {
	struct queue_cell cell;
	__u64 count;
	__u64 now_ns;
};

struct comm_args {
	char comm[16];
	__u64 hash;
};

struct slot_args {
	__u64 owner;
	__u32 slot; /* cached by the caller */
	__u32 found;
};

struct depth_args depth_call = {};
struct flow_args flow_call = {};
struct comm_args comm_call = {};
struct slot_args slot_call = {};

/* Owners that take_slots asks for: first to first + count - 1. */
__u64 take_first = 0;
__u32 take_count = 0;

SEC("syscall")
int test_add_depth(void *ctx)
{
	add_depth(&depth_call.cell, depth_call.pass, depth_call.depth, depth_call.limit);
	return 0;
}

SEC("syscall")
int test_arrive(void *ctx)
{
	arrive(&flow_call.cell, flow_call.count, flow_call.now_ns);
	return 0;
}

SEC("syscall")
int test_depart(void *ctx)
{
	depart(&flow_call.cell, flow_call.count, flow_call.now_ns);
	return 0;
}

SEC("syscall")
int test_hash_comm(void *ctx)
{
	comm_call.hash = hash_comm(comm_call.comm);
	return 0;
}

SEC("syscall")
int test_slot_of(void *ctx)
{
	return slot_of(slot_call.owner);
}

SEC("syscall")
int test_row_of(void *ctx)
{
	__u32 slot = slot_call.slot;

	slot_call.found = row_of(slot_call.owner, &slot) != NULL;
	slot_call.slot = slot;
	return 0;
}

static long take_slot(__u32 i, void *unused)
{
	slot_of(take_first + i);
	return 0;
}

/* Many owners in one run, so that runs on two CPUs meet in slot_of(). By a helper:
 * of a loop the verifier would follow each round, half a million instructions.
 */
SEC("syscall")
int test_take_slots(void *ctx)
{
	bpf_loop(take_count, take_slot, NULL, 0);
	return 0;
}

SEC("syscall")
int test_count_loss(void *ctx)
{
	count_loss(LOSS_DUMP_FULL);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
