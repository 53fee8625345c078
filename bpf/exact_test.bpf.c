//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Programs that let Go drive the state machine of exact.bpf.h. */
#include "exact.bpf.h"

struct transfer_args {
	struct exact_state exact;
	__u32 slot;
	__u32 role; /* enum socket_role */
	__u32 turn; /* enum socket_turn */
	__u32 epoch;
};

enum socket_role *unused_socket_role __attribute__((unused));
enum socket_turn *unused_socket_turn __attribute__((unused));

struct transfer_args transfer_call = {};

SEC("syscall")
int test_transfer(void *ctx)
{
	struct transfer_args *args = &transfer_call;

	if (!continues(&args->exact, args->turn, args->epoch))
		count_turn(&args->exact, args->slot, args->role, args->turn, args->epoch,
			   bpf_ktime_get_ns());
	return 0;
}

SEC("syscall")
int test_close_request(void *ctx)
{
	struct transfer_args *args = &transfer_call;

	close_request(&args->exact, args->slot, args->role, args->epoch, bpf_ktime_get_ns());
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
