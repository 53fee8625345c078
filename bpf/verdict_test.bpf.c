//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Programs that let Go call decide_turn(), takes() and skips(). */
#include "owner.bpf.h"
#include "rotation.bpf.h"
#include "verdict.bpf.h"

struct owner_args {
	__u64 owner;
	__u64 holder;
	__u32 confirmed;
	__u32 scan;
	__u32 weak;
	__u32 init;
};

/* Sockets of one test_skips run, which is one pass. */
#define TEST_SOCKETS 64

struct rotation_args {
	__u32 quiet_every;
	__u32 quiet; /* of every socket */
	__u64 pass;
};

struct verdict_facts facts = {};
struct owner_args owner_call = {};
struct rotation_args rotation_call = {};
/* Keeps this type in BTF, for Go. */
enum socket_turn *unused_socket_turn __attribute__((unused));

struct socket_state rotating[TEST_SOCKETS] = {};
__u8 was_read[TEST_SOCKETS] = {};

SEC("syscall")
int test_decide_turn(void *ctx)
{
	return decide_turn(&facts);
}

SEC("syscall")
int test_takes(void *ctx)
{
	return takes(&owner_call.owner, &owner_call.confirmed, owner_call.weak, owner_call.holder,
		     owner_call.init, owner_call.scan);
}

SEC("syscall")
int test_skips(void *ctx)
{
	struct control ctl = {
		.quiet_every = rotation_call.quiet_every,
	};

	for (int i = 0; i < TEST_SOCKETS; i++) {
		rotating[i].quiet = rotation_call.quiet;
		was_read[i] = !skips(&ctl, &rotating[i], rotation_call.pass);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
