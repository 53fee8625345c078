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
int test_count_transfer(void *ctx)
{
	count_transfer(&transfer_call.exact, transfer_call.slot, transfer_call.role,
		       transfer_call.turn, transfer_call.epoch);
	return 0;
}

SEC("syscall")
int test_close_request(void *ctx)
{
	close_request(&transfer_call.exact, transfer_call.slot, transfer_call.role,
		      transfer_call.epoch);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
