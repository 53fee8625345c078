//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Programs that let Go drive the state machine of exact.bpf.h. */
#include "exact.bpf.h"

struct transfer_args {
	struct exact_state exact;
	__u64 now_ns;
	__u32 slot;
	__u32 role; /* enum socket_role */
	__u32 turn; /* enum socket_turn */
	__u32 chosen;
};

struct bucket_args {
	__u64 ns;
	__u64 bucket;
};

enum socket_role *unused_socket_role __attribute__((unused));
enum socket_turn *unused_socket_turn __attribute__((unused));

struct transfer_args transfer_call = {};
struct bucket_args bucket_call = {};

SEC("syscall")
int test_transfer(void *ctx)
{
	struct transfer_args *args = &transfer_call;

	if (!says_nothing(&args->exact, args->turn, args->role, args->chosen))
		count_turn(&args->exact, args->slot, args->role, args->turn, args->chosen, args->now_ns);
	return 0;
}

SEC("syscall")
int test_abandon_request(void *ctx)
{
	struct transfer_args *args = &transfer_call;

	abandon_request(&args->exact, args->slot, args->role, args->chosen, args->now_ns);
	return 0;
}

SEC("syscall")
int test_bucket(void *ctx)
{
	bucket_call.bucket = latency_bucket(bucket_call.ns);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
